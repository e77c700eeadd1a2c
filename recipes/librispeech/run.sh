#!/usr/bin/env bash
# LibriSpeech (read English, 16 kHz), subsets of any size: one part trains, one is the dev set.
#
#   recipes/librispeech/run.sh --corpus DIR --dictionary cmudict.dict [--lm-text "FILE …"] [--train train-clean-100]
#                              [--dev dev-clean] [--test test-clean] [--leaves N] [--gaussians N] [--work DIR] [--num-jobs N]
#   recipes/librispeech/run.sh --corpus DIR --lexicon FILE --lms "NAME=FILE.arpa.gz …" [--rescore-lm FILE.arpa.gz] …
#
# Stages: 0 data, 1 lexicon, 2 language and language models, 3 features, 4 monophones on the shortest utterances,
# 5 triphones, 6 LDA and MLLT, 7 speaker-adaptive training, 8 MMI and boosted MMI on top of both, these three each with
# graph, decoding and score, 9 with --rescore-lm the lattices of 6 and 7 with that model in place of the first of --lms,
# 10 networks on the inputs of 7: sigmoid units on a deep belief network, and rectifiers with dropout, 11 LSTM, of one
# direction and of both.
# The lexicon is looked up in --dictionary (cmudict's form); a G2P model trained on it pronounces the other words.
# The language model is a bigram of the training transcripts and of --lm-text: books, or transcripts of other
# readers (*.trans.txt); none of the dev or test readers belongs there. --lexicon and --lms take the place of both
# (openslr.org/11 has LibriSpeech's own).

recipe=$(cd "$(dirname "$0")" && pwd)
train=${train:-train-mini}
dev=${dev:-dev-mini}
test=${test:-}
dictionary=${dictionary:-}
lm_text=${lm_text:-}
lexicon=${lexicon:-}
lms=${lms:-}
rescore_lm=${rescore_lm:-}
leaves=${leaves:-1500}
gaussians=${gaussians:-8000}
shortest=${shortest:-400}
. "$recipe/../options.sh"
need_corpus https://www.openslr.org/12
if [ -z "$lexicon" ] && [ -z "$dictionary" ]; then
  echo "run.sh: give --dictionary (cmudict: https://github.com/cmusphinx/cmudict) or --lexicon" >&2
  exit 2
fi
data=$work/data lang=$work/lang lm=$work/lm exp=$work/exp
mkdir -p "$lm"
parts=("$train" "$dev")
if [ -n "$test" ]; then parts+=("$test"); fi
size=(--set "context.tree.max_leaves=$leaves" --set "em.total_gaussians=$gaussians")

if runs 0 "data"; then
  asrkit prepare librispeech "$corpus" "$data" --num-jobs "$num_jobs"
fi
if runs 1 "lexicon"; then
  cut -d' ' -f2- "$data/$train/text" >"$lm/train.txt"
  if [ -n "$lm_text" ]; then
    # shellcheck disable=SC2086
    python3 "$recipe/local/lm_text.py" $lm_text >>"$lm/train.txt"
  fi
  if [ -z "$lexicon" ]; then
    # Words of the transcripts, and those that the text has twice at least.
    { cut -d' ' -f2- "$data/$train/text" | tr ' ' '\n' | LC_ALL=C sort -u
      tr ' ' '\n' <"$lm/train.txt" | LC_ALL=C sort | LC_ALL=C uniq -d; } | LC_ALL=C sort -u >"$lm/words.txt"
    asrkit train-g2p "$dictionary" "$lm/g2p.safetensors" --strip-stress --quiet
    asrkit make-lexicon "$lm/words.txt" "$dictionary" "$lm/lexicon.txt" --g2p "$lm/g2p.safetensors" --strip-stress
  fi
fi
names=()
for one in $lms; do names+=("${one%%=*}"); done
if [ -z "$lms" ]; then names=(bigram); fi

if runs 2 "language and language models"; then
  asrkit make-lang "${lexicon:-$lm/lexicon.txt}" "$lang" --position-dependent
  if [ -z "$lms" ]; then
    asrkit train-lm ngram "$lm/train.txt" "$lm/bigram.arpa" --vocab "$lang/words.txt" --set order=2
  fi
  for one in $lms; do
    case $one in
      *.gz) gzip -dc "${one#*=}" >"$lm/${one%%=*}.arpa" ;;
      *) cp "${one#*=}" "$lm/${one%%=*}.arpa" ;;
    esac
  done
  for name in "${names[@]}"; do asrkit train-lm perplexity "$lm/$name.arpa" "$data/$dev/text" --data-text; done
fi
if runs 3 "features"; then
  for part in "${parts[@]}"; do
    asrkit extract "$data/$part" --config "$recipe/conf/mfcc.toml" --num-jobs "$num_jobs"
  done
fi
if runs 4 "monophones"; then
  asrkit subset "$data/$train" "$data/${train}_short" --order shortest --num "$shortest"
  asrkit train-gmm mono "$data/${train}_short" "$lang" "$exp/mono" --num-jobs "$num_jobs" --seed "$seed"
fi

# Build the graphs of a model, decode dev, and test with what dev chose.
evaluate() {
  local model=$1 name
  for name in "${names[@]}"; do
    asrkit make-graph "$lang" "$lm/$name.arpa" "$exp/$model" "$exp/$model/graph_$name"
    asrkit decode "$exp/$model/graph_$name" "$exp/$model" "$data/$dev" "$exp/$model/decode_${dev}_$name" \
      --config "$recipe/conf/decode.toml" --num-jobs "$num_jobs"
    asrkit score "$data/$dev" "$exp/$model/decode_${dev}_$name"
    if [ -n "$test" ]; then
      asrkit decode "$exp/$model/graph_$name" "$exp/$model" "$data/$test" "$exp/$model/decode_${test}_$name" \
        --from "$exp/$model/decode_${dev}_$name/best.json" --num-jobs "$num_jobs"
      asrkit score "$data/$test" "$exp/$model/decode_${test}_$name/hyp.txt"
    fi
  done
}

if runs 5 "triphones"; then
  asrkit train-gmm deltas "$data/$train" "$lang" "$exp/mono" "$exp/deltas" "${size[@]}" \
    --num-jobs "$num_jobs" --seed "$seed"
fi
if runs 6 "LDA and MLLT"; then
  asrkit train-gmm lda-mllt "$data/$train" "$lang" "$exp/deltas" "$exp/lda_mllt" "${size[@]}" \
    --num-jobs "$num_jobs" --seed "$seed"
  evaluate lda_mllt
fi
if runs 7 "speaker-adaptive training"; then
  asrkit train-gmm sat "$data/$train" "$lang" "$exp/lda_mllt" "$exp/sat" "${size[@]}" \
    --num-jobs "$num_jobs" --seed "$seed"
  evaluate sat
fi
if runs 8 "discriminative training"; then
  for rung in lda_mllt sat; do
    for criterion in mmi bmmi; do
      asrkit train-gmm mmi "$data/$train" "$lang" "$exp/$rung" "$exp/${rung}_$criterion" \
        --config "$recipe/conf/$criterion.toml" --denominators "$exp/${rung}_denominators" \
        --num-jobs "$num_jobs" --seed "$seed"
      evaluate "${rung}_$criterion"
    done
  done
fi
if [ -n "$rescore_lm" ] && runs 9 "rescoring"; then
  for rung in lda_mllt sat; do
    graph=$exp/$rung/graph_${names[0]} decoded=$exp/$rung/decode_${dev}_${names[0]}
    asrkit rescore "$graph" "$exp/$rung" "$data/$dev" "$decoded" "$rescore_lm" "${decoded}_rescored" \
      --config "$recipe/conf/rescore.toml" --num-jobs "$num_jobs"
    asrkit score "$data/$dev" "${decoded}_rescored"
  done
fi

. "$recipe/../networks.sh"

if runs 10 "networks"; then
  # Transforms and alignments by the finished model, in two passes as those of dev.
  asrkit align "$data/$train" "$exp/sat" "$exp/sat_ali" --num-jobs "$num_jobs"
  asrkit write-inputs "$data/$train" "$exp/sat" "$data/${train}_sat" --transforms "$exp/sat_ali" --num-jobs "$num_jobs"
  asrkit pretrain dbn "$data/${train}_sat" "$exp/dbn" --config "$recipe/conf/dbn.toml" --seed "$seed"
  asrkit train-dnn mlp "$data/${train}_sat" "$exp/sat_ali" "$exp/dbn_dnn" --init "$exp/dbn" --seed "$seed" \
    --set heldout_by=utterance --set heldout_share=0.05
  asrkit train-dnn mlp "$data/${train}_sat" "$exp/sat_ali" "$exp/dnn" --config "$recipe/conf/dnn.toml" --seed "$seed"
  for model in dbn_dnn dnn; do evaluate_network "$model"; done
fi

if runs 11 "recurrent networks"; then
  for kind in lstm blstm; do
    asrkit train-dnn "$kind" "$data/${train}_sat" "$exp/sat_ali" "$exp/$kind" --config "$recipe/conf/$kind.toml" \
      --seed "$seed"
    evaluate_network "$kind"
  done
fi
