#!/usr/bin/env bash
# Kaldi's yesno: 60 recordings of eight words each, YES or NO, one speaker.
#
#   recipes/yesno/run.sh --corpus DIR [--work DIR] [--num-jobs N] [--stage N] [--stop-stage N]
#
# Stages: 0 data, 1 language, 2 features, 3 monophones, 4 graph, 5 decode and score.

recipe=$(cd "$(dirname "$0")" && pwd)
. "$recipe/../options.sh"
need_corpus https://www.openslr.org/1/
data=$work/data lang=$work/lang lm=$work/lm exp=$work/exp

if runs 0 "data"; then
  asrkit prepare yesno "$corpus" "$data"
  for part in train test; do asrkit validate "$data/$part" --lexicon "$recipe/conf/lexicon.txt"; done
fi
if runs 1 "language"; then
  asrkit make-lang "$recipe/conf/lexicon.txt" "$lang" --set num_silence_states=5
  asrkit train-lm uniform "$recipe/conf/words.txt" "$lm/uniform.arpa"
fi
if runs 2 "features"; then
  for part in train test; do
    asrkit extract "$data/$part" --config "$recipe/conf/mfcc.toml" --num-jobs "$num_jobs"
  done
fi
if runs 3 "monophones"; then
  asrkit train-gmm mono "$data/train" "$lang" "$exp/mono" --config "$recipe/conf/mono.toml" \
    --num-jobs "$num_jobs" --seed "$seed"
fi
if runs 4 "graph"; then
  asrkit make-graph "$lang" "$lm/uniform.arpa" "$exp/mono" "$exp/mono/graph"
fi
if runs 5 "decode and score"; then
  asrkit decode "$exp/mono/graph" "$exp/mono" "$data/test" "$exp/mono/decode_test" --num-jobs "$num_jobs"
  asrkit score "$data/test" "$exp/mono/decode_test/hyp.txt"
fi
