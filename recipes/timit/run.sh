#!/usr/bin/env bash
# TIMIT phone recognition: 61 labels folded to 48 phones for training and to 39 for scoring, bigram of the training phones.
#
#   recipes/timit/run.sh --corpus DIR [--leaves N] [--gaussians N] [--work DIR] [--num-jobs N] [--stage N] [--stop-stage N]
#   recipes/timit/run.sh --corpus DIR --sample yes …
#
# The full corpus (LDC93S1) has its official parts: 462 speakers train, 50 are dev, the 24 of the core test set are test;
# the LM weight is dev's. --sample yes takes the 12 speakers that NLTK distributes, in three folds of 8 to train and 4 to
# test, and pools them; one LM weight is chosen on all.
# Stages: 0 data and language, 1 features, 2 monophones, 3 triphones, 4 LDA and MLLT, 5 speaker-adaptive training, 6 a
# perceptron and a BLSTM on its inputs, each alone and together with its mixtures, decoded, 7 scores, 8 boundaries of
# forced alignments against the hand labels: given the phones that the labels say, by small monophones of the training
# set, and by --aligner MODEL, a model with cmudict's phones in their places in the word (recipes/librispeech); each as it
# is, and adapted by MAP to the speech that it aligns.

recipe=$(cd "$(dirname "$0")" && pwd)
sample=${sample:-}
leaves=${leaves:-}
gaussians=${gaussians:-}
aligner=${aligner:-}
. "$recipe/../options.sh"
need_corpus "https://catalog.ldc.upenn.edu/LDC93S1 (a sample: https://www.nltk.org/nltk_data)"
if [ -n "$sample" ]; then
  runs_of=(fold0 fold1 fold2) parts=(train test)
  leaves=${leaves:-300} gaussians=${gaussians:-1500}
else
  runs_of=(full) parts=(train dev test)
  leaves=${leaves:-2500} gaussians=${gaussians:-15000}
fi
# Questions from the middle HMM position alone, as Kaldi clusters them: a little better here, worse on AN4 (RESULTS.md).
size=(--set "context.tree.max_leaves=$leaves" --set "em.total_gaussians=$gaussians"
  --set "context.questions.pdf_classes=[1]")
common=(--num-jobs "$num_jobs" --seed "$seed")

for run in "${runs_of[@]}"; do
  data=$work/$run/data lang=$work/$run/lang exp=$work/$run/exp
  train=$data/train

  # Decode the first part that does not train, and the test set with what dev chose.
  evaluate() {
    local model=$exp/$1
    asrkit make-graph "$lang" "$lang/bigram.arpa" "$model" "$model/graph"
    asrkit decode "$model/graph" "$model" "$data/${parts[1]}" "$model/decode_${parts[1]}" \
      --config "$recipe/conf/decode.toml" --num-jobs "$num_jobs"
    if [ -z "$sample" ]; then
      asrkit score "$data/dev" "$model/decode_dev" --fold timit39 --unit phone
      asrkit decode "$model/graph" "$model" "$data/test" "$model/decode_test" \
        --from "$model/decode_dev/best.json" --num-jobs "$num_jobs"
    fi
  }

  if runs 0 "$run: data and language"; then
    asrkit prepare timit "$corpus" "$data" ${sample:+--fold "${run#fold}"}
    python3 "$recipe/local/phone_text.py" "$data/lexicon.txt" "${parts[@]/#/$data/}"
    asrkit make-lang "$data/lexicon.txt" "$lang" --config "$recipe/conf/lang.toml"
    asrkit train-lm ngram "$train/text" "$lang/bigram.arpa" --data-text --set order=2 --dev "$data/${parts[1]}/text"
  fi
  if runs 1 "$run: features"; then
    for part in "${parts[@]}"; do
      asrkit extract "$data/$part" --config "$recipe/conf/mfcc.toml" --num-jobs "$num_jobs"
    done
  fi
  if runs 2 "$run: monophones"; then
    asrkit train-gmm mono "$train" "$lang" "$exp/mono" "${common[@]}"
    evaluate mono
  fi
  if runs 3 "$run: triphones"; then
    asrkit train-gmm deltas "$train" "$lang" "$exp/mono" "$exp/deltas" "${size[@]}" "${common[@]}"
    evaluate deltas
  fi
  if runs 4 "$run: LDA and MLLT"; then
    asrkit train-gmm lda-mllt "$train" "$lang" "$exp/deltas" "$exp/lda_mllt" "${size[@]}" "${common[@]}"
    evaluate lda_mllt
  fi
  if runs 5 "$run: speaker-adaptive training"; then
    asrkit train-gmm sat "$train" "$lang" "$exp/lda_mllt" "$exp/sat" "${size[@]}" "${common[@]}"
    evaluate sat
  fi

  # Decode a part with the network, whose pdfs and graph are the speaker-adaptive model's, or with both of them.
  decode_network() {
    local name=$1 part=$2 network=dnn with=()
    case $name in blstm*) network=blstm ;; esac
    case $name in *both) with=(--with "$exp/sat" "$data/$part") ;; esac
    asrkit decode "$exp/sat/graph" "$exp/$network" "$data/${part}_sat" "$exp/$name/decode_$part" "${with[@]}" "${@:3}" \
      --num-jobs "$num_jobs"
  }
  if runs 6 "$run: networks"; then
    asrkit align "$train" "$exp/sat" "$exp/sat_ali" --num-jobs "$num_jobs"
    asrkit write-inputs "$train" "$exp/sat" "$data/train_sat" --transforms "$exp/sat_ali" --num-jobs "$num_jobs"
    asrkit train-dnn mlp "$data/train_sat" "$exp/sat_ali" "$exp/dnn" --config "$recipe/conf/dnn.toml" --seed "$seed"
    asrkit train-dnn blstm "$data/train_sat" "$exp/sat_ali" "$exp/blstm" --config "$recipe/conf/blstm.toml" --seed "$seed"
    for part in "${parts[@]:1}"; do
      asrkit write-inputs "$data/$part" "$exp/sat" "$data/${part}_sat" --transforms "$exp/sat/decode_$part" \
        --num-jobs "$num_jobs"
    done
    for name in dnn both blstm blstm_both; do
      conf=$recipe/conf/decode_${name#blstm_}.toml
      if [ "$name" = blstm ]; then conf=$recipe/conf/decode_dnn.toml; fi
      decode_network "$name" "${parts[1]}" --config "$conf"
      if [ -z "$sample" ]; then
        asrkit score "$data/dev" "$exp/$name/decode_dev" --fold timit39 --unit phone
        decode_network "$name" test --from "$exp/$name/decode_dev/best.json" --config "$conf"
      fi
    done
  fi
done

if runs 7 "scores"; then
  for model in mono deltas lda_mllt sat dnn both blstm blstm_both; do
    if [ ! -d "$work/${runs_of[0]}/exp/$model" ]; then continue; fi
    if [ -z "$sample" ]; then
      asrkit score "$work/full/data/test" "$work/full/exp/$model/decode_test/hyp.txt" --fold timit39 --unit phone
      continue
    fi
    pooled=$work/pooled/$model
    rm -rf "$pooled" && mkdir -p "$pooled"
    cat "$work"/fold?/data/test/text >"$work/pooled/ref.txt"
    for file in "$work/fold0/exp/$model/decode_test"/hyp.w*_p*.txt; do
      name=$(basename "$file")
      cat "$work"/fold?/exp/"$model"/decode_test/"$name" >"$pooled/$name"
    done
    asrkit score "$work/pooled/ref.txt" "$pooled" --fold timit39 --unit phone
  done
fi

if runs 8 "forced alignment against hand labels"; then
  boundaries=$work/boundaries
  mkdir -p "$boundaries"
  for run in "${runs_of[@]}"; do
    exp=$work/$run/exp
    asrkit train-gmm mono "$work/$run/data/train" "$work/$run/lang" "$exp/align" --config "$recipe/conf/align.toml" \
      "${common[@]}"
    asrkit adapt "$work/$run/data/test" "$work/$run/lang" "$exp/align" "$exp/align_map" --num-jobs "$num_jobs"
    for model in align align_map; do
      asrkit align "$work/$run/data/test" "$exp/$model" "$exp/${model}_test" --num-jobs "$num_jobs"
    done
  done
  cat "$work"/f*/data/test/phones.ali >"$boundaries/ref.ali"
  for model in align align_map; do
    cat "$work"/f*/exp/"${model}_test"/phones.ctm >"$boundaries/$model.ctm"
    asrkit score-alignment "$boundaries/ref.ali" "$boundaries/$model.ctm" --fold timit48
  done
  if [ -n "$aligner" ]; then
    python3 "$recipe/local/word_phones.py" "$boundaries/data" "$work"/f*/data/test
    asrkit make-lang "$boundaries/data/lexicon.txt" "$boundaries/lang" --position-dependent --silence-probability 0
    asrkit extract "$boundaries/data" --config "$recipe/conf/mfcc.toml" --num-jobs "$num_jobs"
    asrkit adapt "$boundaries/data" "$boundaries/lang" "$aligner" "$boundaries/map" --num-jobs "$num_jobs"
    asrkit align "$boundaries/data" "$aligner" "$boundaries/ali" --lang "$boundaries/lang" --num-jobs "$num_jobs"
    asrkit align "$boundaries/data" "$boundaries/map" "$boundaries/ali_map" --num-jobs "$num_jobs"
    asrkit score-alignment "$boundaries/data" "$boundaries/ali"
    asrkit score-alignment "$boundaries/data" "$boundaries/ali_map"
  fi
fi
