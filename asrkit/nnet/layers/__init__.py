"""Networks from inputs to scores of classes."""
