"""One function a stage: paths and a configuration in, files and a :class:`~asrkit.stages.record.StageReport` out."""
