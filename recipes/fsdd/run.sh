#!/usr/bin/env bash
# Free Spoken Digit Dataset: isolated digits, each speaker tested on a model of the others.
#
#   recipes/fsdd/run.sh --corpus DIR [--speakers "A B C"] [--work DIR] [--num-jobs N] [--stage N] [--stop-stage N]
#
# Stages: 0 data, 1 language, 2 features, 3 monophones, 4 graph, 5 decode and score.
# The language model is a grammar of one digit; no decode parameter is tuned.

recipe=$(cd "$(dirname "$0")" && pwd)
speakers=${speakers:-george jackson lucas nicolas theo yweweler}
. "$recipe/../options.sh"
need_corpus https://github.com/Jakobovski/free-spoken-digit-dataset
lang=$work/lang

present=()
for speaker in $speakers; do
  if compgen -G "$corpus/recordings/*_${speaker}_*.wav" >/dev/null || compgen -G "$corpus/*_${speaker}_*.wav" >/dev/null; then
    present+=("$speaker")
  else
    echo "run.sh: no recordings of $speaker in $corpus" >&2
  fi
done

if runs 1 "language"; then
  asrkit make-lang "$recipe/conf/lexicon.txt" "$lang"
fi
for speaker in "${present[@]}"; do
  data=$work/$speaker/data exp=$work/$speaker/exp
  if runs 0 "data, $speaker held out"; then
    asrkit prepare fsdd "$corpus" "$data" --test-speaker "$speaker"
    for part in train test; do asrkit validate "$data/$part" --lexicon "$recipe/conf/lexicon.txt"; done
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
    asrkit make-graph "$lang" "$recipe/conf/digit.jsgf" "$exp/mono" "$exp/mono/graph"
  fi
  if runs 5 "decode"; then
    asrkit decode "$exp/mono/graph" "$exp/mono" "$data/test" "$exp/mono/decode_test" --num-jobs "$num_jobs"
    asrkit score "$data/test" "$exp/mono/decode_test/hyp.txt"
  fi
done
if runs 5 "score all speakers together"; then
  mkdir -p "$work/all"
  for table in text utt2spk; do
    for speaker in "${present[@]}"; do cat "$work/$speaker/data/test/$table"; done | LC_ALL=C sort >"$work/all/$table"
  done
  for speaker in "${present[@]}"; do cat "$work/$speaker/exp/mono/decode_test/hyp.txt"; done | LC_ALL=C sort >"$work/all/hyp.txt"
  asrkit score "$work/all" "$work/all/hyp.txt" --per-speaker --confusions 10
fi
