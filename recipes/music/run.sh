#!/usr/bin/env bash
# Polyphonic music: the four sets of Boulanger-Lewandowski, Bengio and Vincent 2012, as piano rolls of 88 keys.
#
#   recipes/music/run.sh --corpus DIR [--sets "A B"] [--work DIR] [--stage N] [--stop-stage N]
#
# DIR holds Nottingham.mat, JSB_Chorales.mat, MuseData.mat and Piano_midi.mat; --sets names those to take.
# Stages: 0 RNN-NADE, 1 RNN-RBM, 2 RTRBM, 3 pieces drawn from each.
# Scored on the files' test pieces where they hold them, else on the validation pieces; in the latter case a tenth of the
# training pieces says when to stop, so that what is scored has chosen nothing.

recipe=$(cd "$(dirname "$0")" && pwd)
sets=${sets:-Nottingham JSB_Chorales MuseData Piano_midi}
. "$recipe/../options.sh"
need_corpus http://www-etud.iro.umontreal.ca/~boulanni/icml2012

# The chorales move in quarters, the other sets in eighths.
train() {
  local conf=$1 steps=2
  case $1/$2 in rnn-nade/JSB_Chorales | rnn-nade/Piano_midi) conf=rnn-nade-few ;; esac
  [ "$2" = JSB_Chorales ] && steps=1
  asrkit train-music "$1" "$corpus/$2.mat" "$work/exp/$2/$1" --config "$recipe/conf/$conf.toml" --seed "$seed" \
    --set midi.steps_per_beat="$steps"
}

for set in $sets; do
  if runs 0 "$set: RNN-NADE"; then train rnn-nade "$set"; fi
  if runs 1 "$set: RNN-RBM"; then train rnn-rbm "$set"; fi
  if runs 2 "$set: RTRBM"; then train rtrbm "$set"; fi
  if runs 3 "$set: samples"; then
    for kind in rnn-nade rnn-rbm rtrbm; do
      if [ -f "$work/exp/$set/$kind/music.safetensors" ]; then
        asrkit sample-music "$work/exp/$set/$kind" "$work/exp/$set/$kind/samples" --seed "$seed"
      fi
    done
  fi
done
