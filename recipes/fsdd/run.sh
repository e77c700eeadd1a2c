#!/usr/bin/env bash
# Free Spoken Digit Dataset: isolated digits, each speaker tested on models of the others.
#
#   recipes/fsdd/run.sh --corpus DIR [--speakers "A B C"] [--work DIR] [--num-jobs N] [--stage N] [--stop-stage N]
#
# Stages: 0 data, 1 language, 2 features, 3 monophones, 4 graph, 5 decode and score; classifiers of filterbank windows:
# 6 features, 7 perceptron, 8 convolutional network, 9 stacked autoencoders, 10 deep belief network.
# The language model is a grammar of one digit; no decode parameter is tuned.

recipe=$(cd "$(dirname "$0")" && pwd)
speakers=${speakers:-george jackson lucas nicolas theo yweweler}
. "$recipe/../options.sh"
need_corpus https://github.com/Jakobovski/free-spoken-digit-dataset
lang=$work/lang

# Train and try a classifier: NAME KIND, then more for `asrkit train-dnn`.
classify() {
  local name=$1 kind=$2
  shift 2
  asrkit train-dnn "$kind" "$fbank/train" word "$exp/$name" --targets labels --seed "$seed" "$@"
  asrkit classify "$exp/$name" "$fbank/test" "$exp/$name/test" --num-jobs "$num_jobs"
}

# Of all speakers together; a digit that is named is a hypothesis of one word.
score_all() {
  mkdir -p "$work/all"
  for table in text utt2spk; do
    for speaker in "${present[@]}"; do cat "$work/$speaker/data/test/$table"; done | LC_ALL=C sort >"$work/all/$table"
  done
  for speaker in "${present[@]}"; do cat "$work/$speaker/exp/$1"; done | LC_ALL=C sort >"$work/all/hyp-${1%%/*}.txt"
  asrkit score "$work/all" "$work/all/hyp-${1%%/*}.txt" --per-speaker --confusions 10
}

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
  data=$work/$speaker/data fbank=$work/$speaker/data_fbank exp=$work/$speaker/exp
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
  if runs 6 "filterbanks"; then
    asrkit prepare fsdd "$corpus" "$fbank" --test-speaker "$speaker"
    for part in train test; do
      asrkit extract "$fbank/$part" --config "$recipe/conf/fbank.toml" --num-jobs "$num_jobs"
    done
  fi
  if runs 7 "perceptron"; then
    classify mlp mlp --config "$recipe/conf/mlp.toml"
  fi
  if runs 8 "convolutional network"; then
    classify cnn cnn --config "$recipe/conf/cnn.toml"
  fi
  for kind in sda dbn; do
    if { [ "$kind" = sda ] && runs 9 "stacked autoencoders"; } || { [ "$kind" = dbn ] && runs 10 "deep belief network"; }; then
      asrkit pretrain "$kind" "$fbank/train" "$exp/$kind" --config "$recipe/conf/stack.toml" --seed "$seed"
      classify "${kind}_mlp" mlp --config "$recipe/conf/stacked.toml" --init "$exp/$kind"
    fi
  done
done
if runs 5 "score all speakers together"; then score_all mono/decode_test/hyp.txt; fi
if runs 7 "score all speakers together"; then score_all mlp/test/utt2label; fi
if runs 8 "score all speakers together"; then score_all cnn/test/utt2label; fi
if runs 9 "score all speakers together"; then score_all sda_mlp/test/utt2label; fi
if runs 10 "score all speakers together"; then score_all dbn_mlp/test/utt2label; fi
