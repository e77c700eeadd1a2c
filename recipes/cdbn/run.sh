#!/usr/bin/env bash
# A convolutional deep belief network learns from unlabelled speech; what its features tell of speakers, genders and
# phones, where few utterances are labelled (Lee, Pham, Largman and Ng 2009).
#
#   recipes/cdbn/run.sh --librispeech DIR [--an4 DIR] [--timit DIR] [--work DIR] [--num-jobs N] [--stage N] [--stop-stage N]
#
# The network learns from LibriSpeech (--part NAME of it), and is tried on each corpus that is given; phones are TIMIT's.
# Stages: 0 data, 1 MFCC and spectrograms, 2 the network, 3 its features, and its whitened inputs to compare with, 4
# speakers, 5 genders, 6 phones, 7 pictures of what it has learned (needs matplotlib).

recipe=$(cd "$(dirname "$0")" && pwd)
librispeech=${librispeech:-}
an4=${an4:-}
timit=${timit:-}
part=${part:-train-mini}
. "$recipe/../options.sh"
corpus=$librispeech
need_corpus "https://www.openslr.org/12 (AN4: http://www.speech.cs.cmu.edu/databases/an4, TIMIT: https://catalog.ldc.upenn.edu/LDC93S1)"
declare -A folders=([librispeech]=$librispeech [an4]=$an4 [timit]=$timit) parts=([librispeech]=$part [an4]=train [timit]=train)
present=()
for name in librispeech an4 timit; do
  if [ -n "${folders[$name]}" ]; then present+=("$name"); fi
done
exp=$work/exp
declare -A layers=([whitened]=0 [cdbn1]=1 [cdbn2]=2)

# The data directory of a corpus with features of a kind: FEATURES CORPUS.
data() { echo "$work/$1/$2/${parts[$2]}"; }

if runs 0 "data"; then
  for name in "${present[@]}"; do
    # Two of TIMIT's ten sentences are the same for all speakers: they stay where speakers are told apart, not for phones.
    more=()
    if [ "$name" = timit ]; then
      more=(--keep-sa)
      asrkit prepare timit "$timit" "$work/phones/timit"
    fi
    for features in mfcc spectrogram whitened cdbn1 cdbn2; do
      asrkit prepare "$name" "${folders[$name]}" "$work/$features/$name" "${more[@]}"
    done
  done
fi
if runs 1 "MFCC and spectrograms"; then
  for name in "${present[@]}"; do
    for features in mfcc spectrogram; do
      asrkit extract "$(data $features "$name")" --config "$recipe/conf/$features.toml" --num-jobs "$num_jobs"
    done
  done
  if [ -n "$timit" ]; then
    asrkit extract "$(data phones timit)" --config "$recipe/conf/mfcc.toml" --num-jobs "$num_jobs"
  fi
fi
if runs 2 "the network"; then
  asrkit pretrain cdbn "$(data spectrogram librispeech)" "$exp/cdbn" --config "$recipe/conf/cdbn.toml" --seed "$seed"
fi
if runs 3 "its features"; then
  for name in "${present[@]}"; do
    for features in whitened cdbn1 cdbn2; do
      asrkit extract "$(data $features "$name")" --with "$exp/cdbn" --layer "${layers[$features]}" \
        --num-jobs "$num_jobs"
    done
  done
fi

# Compare features of a corpus: LABELS CORPUS OUT MFCC, the directory that says which utterances, then more for the command.
compare() {
  local labels=$1 name=$2 out=$3 sets=("mfcc=$4")
  shift 4
  for features in spectrogram whitened cdbn1 cdbn2; do sets+=("$features=$(data "$features" "$name")"); done
  asrkit probe "$labels" "$exp/$out" "${sets[@]}" cdbn1+2=cdbn1+cdbn2 \
    mfcc+spectrogram=mfcc+spectrogram mfcc+whitened=mfcc+whitened mfcc+cdbn1=mfcc+cdbn1 \
    mfcc+cdbn1+2=mfcc+cdbn1+cdbn2 --seed "$seed" "$@"
}
for name in "${present[@]}"; do
  if runs 4 "speakers of $name"; then
    compare speaker "$name" "speaker_$name" "$(data mfcc "$name")"
    compare speaker "$name" "speaker_max_$name" "$(data mfcc "$name")" --set 'statistics=["mean", "max", "sd"]'
  fi
  if runs 5 "genders of $name"; then
    # One utterance of either is two examples, whose deviations say nothing of how far features usually vary.
    compare gender "$name" "gender_$name" "$(data mfcc "$name")" --set standardise=false
  fi
done
if [ -n "$timit" ] && runs 6 "phones"; then
  compare phones timit phones "$(data phones timit)" --config "$recipe/conf/phones.toml"
fi
if runs 7 "pictures"; then
  asrkit sample "$exp/cdbn" "$exp/pictures" --set num_samples=48
fi
