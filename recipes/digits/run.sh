#!/usr/bin/env bash
# From recordings to a word error rate on the corpus that the project ships (synthetic speech).
#
#   recipes/digits/run.sh [--work DIR] [--num-jobs N] [--stage N] [--stop-stage N]
#
# Stages: 0 data, 1 language, 2 features, 3 monophones, 4 graph, 5 decode and score, 6 a network on the same features.

recipe=$(cd "$(dirname "$0")" && pwd)
corpus="$recipe/../../data/digits"
dev_speakers=en-us-m1,en-gb-f3,en-gb-x-rp-m4,en-us-linda
. "$recipe/../options.sh"
data=$work/data lang=$work/lang lm=$work/lm exp=$work/exp

if runs 0 "data"; then
  asrkit prepare folder "$corpus" "$data" --dev-speakers "$dev_speakers"
  for part in train dev test; do asrkit validate "$data/$part" --lexicon "$corpus/lexicon.txt"; done
fi
if runs 1 "language"; then
  asrkit make-lang "$corpus/lexicon.txt" "$lang"
  asrkit train-lm ngram --data-text "$data/train/text" "$lm/bigram.arpa" --config "$recipe/conf/lm.toml" \
    --dev "$data/dev/text"
fi
if runs 2 "features"; then
  for part in train dev test; do
    asrkit extract "$data/$part" --config "$recipe/conf/mfcc.toml" --num-jobs "$num_jobs"
  done
fi
if runs 3 "monophones"; then
  asrkit train-gmm mono "$data/train" "$lang" "$exp/mono" --config "$recipe/conf/mono.toml" \
    --num-jobs "$num_jobs" --seed "$seed"
fi
if runs 4 "graph"; then
  asrkit make-graph "$lang" "$lm/bigram.arpa" "$exp/mono" "$exp/mono/graph"
fi
if runs 5 "decode and score"; then
  asrkit decode "$exp/mono/graph" "$exp/mono" "$data/dev" "$exp/mono/decode_dev" \
    --config "$recipe/conf/decode.toml" --num-jobs "$num_jobs"
  asrkit score "$data/dev" "$exp/mono/decode_dev"
  asrkit decode "$exp/mono/graph" "$exp/mono" "$data/test" "$exp/mono/decode_test" \
    --from "$exp/mono/decode_dev/best.json" --num-jobs "$num_jobs"
  echo
  echo "Word error rates of the test voices:"
  asrkit score "$data/test" "$exp/mono/decode_test/hyp.txt" --per-speaker
fi
if runs 6 "a network"; then
  # Its classes are the monophones' states, so their graph serves it too.
  asrkit train-dnn mlp "$data/train" "$exp/mono" "$exp/dnn" --config "$recipe/conf/dnn.toml" --seed "$seed"
  asrkit decode "$exp/mono/graph" "$exp/dnn" "$data/dev" "$exp/dnn/decode_dev" \
    --config "$recipe/conf/decode.toml" --num-jobs "$num_jobs"
  asrkit score "$data/dev" "$exp/dnn/decode_dev"
  asrkit decode "$exp/mono/graph" "$exp/dnn" "$data/test" "$exp/dnn/decode_test" \
    --from "$exp/dnn/decode_dev/best.json" --num-jobs "$num_jobs"
  asrkit score "$data/test" "$exp/dnn/decode_test/hyp.txt"
fi
