#!/bin/sh
# The way from rows to an answer, with curl and nothing else.
#
#     OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=… sh main_path.sh [MODEL]
#
# Uploads rows, tunes a model, follows the job, asks the tuned model in the three ways there are, and deletes what it made.
set -eu

model=${1:-smollm2-135m-instruct}
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT

call() { # METHOD PATH [OPTION …]
    method=$1 path=$2
    shift 2
    curl --silent --show-error --fail-with-body --max-time 600 --request "$method" "$OPENAI_BASE_URL$path" \
        --header "Authorization: Bearer $OPENAI_API_KEY" "$@"
}
post() { # PATH JSON
    call POST "$1" --header 'Content-Type: application/json' --data "$2"
}
field() { # NAME: the first field of this name that is a string
    sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" | head -n 1
}
first() { # NAME: the same, where several stand on one line
    tr ',{' '\n\n' | field "$1"
}

for n in 0 1 2 3 4 5 6 7 8 9 10 11; do
    printf '{"prompt": "Is %s a number?\\n\\n###\\n\\n", "completion": " yes [DONE]"}\n' "$n"
done >"$rows"
file=$(call POST /files --form purpose=fine-tune --form "file=@$rows;filename=rows.jsonl" | first id)
echo "uploaded $(call GET "/files/$file" | first filename)"

settings='{"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": 6}}}'
job=$(post /fine_tuning/jobs "{\"model\": \"$model\", \"training_file\": \"$file\", \"suffix\": \"curl\", \"method\": $settings}" |
    tr ',{' '\n\n' | grep -o 'ftjob-[0-9a-f]*' | head -n 1)
while :; do
    told=$(call GET "/fine_tuning/jobs/$job")
    status=$(printf %s "$told" | first status)
    case $status in succeeded | failed | cancelled) break ;; esac
    sleep 0.2
done
echo "$status: $(call GET "/fine_tuning/jobs/$job/events?limit=1" | first message)"
results=$(printf %s "$told" | grep -o '"result_files":\["[^"]*' | grep -o 'file-.*')
echo "results: $(call GET "/files/$results/content" | head -n 1)"

tuned=$(printf %s "$told" | first fine_tuned_model)
asked='"prompt": "Is 3 a number?\n\n###\n\n", "stop": [" [DONE]"]'
echo "completion: $(post /completions "{\"model\": \"$tuned\", $asked, \"max_tokens\": 8, \"temperature\": 0}" | first finish_reason)"
asked='"messages": [{"role": "user", "content": "Is 3 a number?"}], "max_completion_tokens": 8, "temperature": 0'
echo "chat: $(post /chat/completions "{\"model\": \"$tuned\", $asked}" | first role)"
echo "streamed: $(post /chat/completions "{\"model\": \"$tuned\", $asked, \"stream\": true}" | tr -d '\n' | grep -o 'data: \[DONE\]$')"

echo "listed: $(call GET /models | grep -c "\"$tuned\"")"
echo "deleted: $(call DELETE "/models/$tuned" | grep -o '"deleted":true'), $(call DELETE "/files/$file" | grep -o '"deleted":true')"
echo "afterwards: $(call GET "/models/$tuned" 2>/dev/null | first code)"
