#!/usr/bin/env bash
# CMU AN4 (alphanumeric strings, 16 kHz), from the published layout, with a dev set of ten training speakers.
#
#   recipes/an4/run.sh --corpus DIR [--lms "NAME=FILE …"] [--work DIR] [--num-jobs N] [--stage N] [--stop-stage N]
#
# Stages: 0 data, 1 language, 2 features, 3 monophones, 4 graphs, 5 decode and score.
# --lms names further ARPA files; each is a column of the result beside the trigram and the uniform unigram made here.
# The official test set is decoded where the corpus has it, with the LM weight and penalty that the dev set chose.

recipe=$(cd "$(dirname "$0")" && pwd)
lms=${lms:-}
dev_speakers=${dev_speakers:-fejs,flmm2,fsrb,mcel,mdmc,mfaa,mjhp,mmdg,mrcb,mskh}
. "$recipe/../options.sh"
need_corpus http://www.speech.cs.cmu.edu/databases/an4/
data=$work/data lang=$work/lang lm=$work/lm exp=$work/exp

if runs 0 "data"; then
  asrkit prepare an4 "$corpus" "$data" --dev-speakers "$dev_speakers"
fi
parts=(train dev)
if [ -d "$data/test" ]; then parts+=(test); fi

if runs 1 "language"; then
  for part in "${parts[@]}"; do asrkit validate "$data/$part" --lexicon "$data/local/lexicon.txt"; done
  asrkit make-lang "$data/local/lexicon.txt" "$lang"
  asrkit train-lm ngram --data-text "$data/train/text" "$lm/trigram.arpa" --config "$recipe/conf/lm.toml" \
    --dev "$data/dev/text"
  cut -d' ' -f1 "$data/local/lexicon.txt" | LC_ALL=C sort -u >"$lm/words.txt"
  asrkit train-lm uniform "$lm/words.txt" "$lm/uniform.arpa"
  for extra in $lms; do
    cp "${extra#*=}" "$lm/${extra%%=*}.arpa"
    asrkit train-lm perplexity "$lm/${extra%%=*}.arpa" "$data/dev/text" --data-text
  done
fi
if runs 2 "features"; then
  for part in "${parts[@]}"; do
    asrkit extract "$data/$part" --config "$recipe/conf/mfcc.toml" --num-jobs "$num_jobs"
  done
fi
if runs 3 "monophones"; then
  asrkit train-gmm mono "$data/train" "$lang" "$exp/mono" --config "$recipe/conf/mono.toml" \
    --num-jobs "$num_jobs" --seed "$seed"
fi
names=(trigram uniform)
for extra in $lms; do names+=("${extra%%=*}"); done
for name in "${names[@]}"; do
  graph=$exp/mono/graph_$name
  if runs 4 "graph with $name"; then
    asrkit make-graph "$lang" "$lm/$name.arpa" "$exp/mono" "$graph"
  fi
  if runs 5 "decode and score with $name"; then
    asrkit decode "$graph" "$exp/mono" "$data/dev" "$exp/mono/decode_dev_$name" \
      --config "$recipe/conf/decode.toml" --num-jobs "$num_jobs"
    asrkit score "$data/dev" "$exp/mono/decode_dev_$name"
    if [ -d "$data/test" ]; then
      asrkit decode "$graph" "$exp/mono" "$data/test" "$exp/mono/decode_test_$name" \
        --from "$exp/mono/decode_dev_$name/best.json" --num-jobs "$num_jobs"
      asrkit score "$data/test" "$exp/mono/decode_test_$name/hyp.txt"
    fi
  fi
done
