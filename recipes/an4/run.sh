#!/usr/bin/env bash
# CMU AN4 (alphanumeric strings, 16 kHz), from the published layout, with a dev set of ten training speakers.
#
#   recipes/an4/run.sh --corpus DIR [--lms "NAME=FILE …"] [--work DIR] [--num-jobs N] [--stage N] [--stop-stage N]
#
# Stages: 0 data, 1 language, 2 features, 3 monophones, 4 their graphs, decoding and scores, 5 triphones, 6 LDA and MLLT,
# 7 speaker-adaptive training, 8 networks on its inputs: sigmoid units on a deep belief network, and rectifiers with
# dropout; each with its scores; 9 recurrent ones: LSTM that read forwards and backwards, their mean, and a BLSTM;
# 10 a BLSTM by CTC, which needs no alignment and has graphs of its own.
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
  asrkit make-lang "$data/local/lexicon.txt" "$lang" --position-dependent
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

# Build the graphs of a model, decode dev, and test with what dev chose: MODEL [CONFIG [INPUTS]], where INPUTS is what the
# names of the data directories have more, before that of the language model.
evaluate() {
  local model=$1 config=$recipe/conf/${2:-decode}.toml inputs=${3:-} name dev test
  for name in "${names[@]}"; do
    dev=$data/dev${inputs:+${inputs}_$name} test=$data/test${inputs:+${inputs}_$name}
    asrkit make-graph "$lang" "$lm/$name.arpa" "$exp/$model" "$exp/$model/graph_$name"
    asrkit decode "$exp/$model/graph_$name" "$exp/$model" "$dev" "$exp/$model/decode_dev_$name" \
      --config "$config" --num-jobs "$num_jobs"
    asrkit score "$data/dev" "$exp/$model/decode_dev_$name"
    if [ -d "$data/test" ]; then
      asrkit decode "$exp/$model/graph_$name" "$exp/$model" "$test" "$exp/$model/decode_test_$name" \
        --from "$exp/$model/decode_dev_$name/best.json" --num-jobs "$num_jobs"
      asrkit score "$data/test" "$exp/$model/decode_test_$name/hyp.txt"
    fi
  done
}

if runs 4 "monophones: graphs, decode and score"; then evaluate mono; fi
if runs 5 "triphones"; then
  asrkit train-gmm deltas "$data/train" "$lang" "$exp/mono" "$exp/deltas" --num-jobs "$num_jobs" --seed "$seed"
  evaluate deltas
fi
if runs 6 "LDA and MLLT"; then
  asrkit train-gmm lda-mllt "$data/train" "$lang" "$exp/deltas" "$exp/lda_mllt" --num-jobs "$num_jobs" --seed "$seed"
  evaluate lda_mllt
fi
if runs 7 "speaker-adaptive training"; then
  asrkit train-gmm sat "$data/train" "$lang" "$exp/lda_mllt" "$exp/sat" --num-jobs "$num_jobs" --seed "$seed"
  evaluate sat
fi

dev=dev test=
if [ -d "$data/test" ]; then test=test; fi
. "$recipe/../networks.sh"

if runs 8 "networks"; then
  # Transforms and alignments by the finished model, in two passes as those of dev.
  asrkit align "$data/train" "$exp/sat" "$exp/sat_ali" --num-jobs "$num_jobs"
  asrkit write-inputs "$data/train" "$exp/sat" "$data/train_sat" --transforms "$exp/sat_ali" --num-jobs "$num_jobs"
  asrkit pretrain dbn "$data/train_sat" "$exp/dbn" --config "$recipe/conf/dbn.toml" --seed "$seed"
  asrkit train-dnn mlp "$data/train_sat" "$exp/sat_ali" "$exp/dbn_dnn" --init "$exp/dbn" --set network.layers=6 \
    --seed "$seed"
  asrkit train-dnn mlp "$data/train_sat" "$exp/sat_ali" "$exp/dnn" --config "$recipe/conf/dnn.toml" --seed "$seed"
  for model in dbn_dnn dnn; do evaluate_network "$model"; done
fi

if runs 9 "recurrent networks"; then
  asrkit train-dnn lstm "$data/train_sat" "$exp/sat_ali" "$exp/lstm" --config "$recipe/conf/lstm.toml" --seed "$seed"
  asrkit train-dnn lstm "$data/train_sat" "$exp/sat_ali" "$exp/lstm_backwards" --config "$recipe/conf/lstm.toml" \
    --set network.backwards=true --set pipeline.splice_left=5 --set pipeline.splice_right=2 \
    --set training.utterances.chunk_frames=0 --seed "$seed"
  asrkit train-dnn blstm "$data/train_sat" "$exp/sat_ali" "$exp/blstm" --config "$recipe/conf/blstm.toml" --seed "$seed"
  for model in lstm lstm_backwards blstm; do evaluate_network "$model"; done
  evaluate_network lstm lstm_backwards
fi

if runs 10 "connectionist temporal classification"; then
  asrkit train-dnn blstm "$data/train_sat" "$lang" "$exp/ctc" --config "$recipe/conf/ctc.toml" --seed "$seed"
  evaluate ctc decode_ctc _sat
fi
