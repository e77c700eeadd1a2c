#!/usr/bin/env bash
# Associative memory: noisy spectrograms of TIMIT's phones, restored by Hopfield networks; and how much these hold.
#
#   recipes/hopfield/run.sh --corpus DIR [--work DIR] [--num-jobs N] [--stage N] [--stop-stage N] [--seed N]
#
# DIR is the sample of TIMIT that NLTK distributes, whose phones have hand-made times; the mean spectrogram of each, in
# eight speakers' speech, is a pattern of 240 bits. Stages: 0 data and features, 1 patterns stored by outer products, by
# the pseudo-inverse and in the modern network, 2 damaged and recalled, 3 the capacity of random patterns.

recipe=$(cd "$(dirname "$0")" && pwd)
. "$recipe/../options.sh"
need_corpus "https://www.nltk.org/nltk_data (timit)"
data=$work/data exp=$work/exp

if runs 0 "data and features"; then
  asrkit prepare timit "$corpus" "$data" --fold 0
  asrkit extract "$data/train" --config "$recipe/conf/fbank.toml" --num-jobs "$num_jobs"
fi

for set in few all; do
  for rule in outer pseudo-inverse modern; do
    model=$exp/$set/$rule
    if runs 1 "$set phones, $rule"; then
      asrkit hopfield store "$data/train" "$model" --config "$recipe/conf/$set.toml" --set rule=$rule --seed "$seed"
    fi
    if runs 2 "$set phones, $rule: recall"; then
      asrkit hopfield recall "$model" "$model/recall" --config "$recipe/conf/recall.toml" --seed "$seed"
    fi
  done
done

if runs 3 "capacity"; then
  asrkit hopfield capacity "$exp/capacity" --config "$recipe/conf/capacity.toml" --seed "$seed" -j "$num_jobs"
fi
