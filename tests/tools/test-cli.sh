#!/usr/bin/env bash
# vjrun's command line: exit codes, results on stdout and messages on stderr, nothing else done.
set -uo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
n=0
vjrun() { "$VJ_BUILDDIR/vjrun" "$@" >"$work/out" 2>"$work/err"; }
# case NAME CODE STREAM PATTERN ARGUMENTS...: the code, and the pattern on that stream and not on the other
case_() {
  local name=$1 code=$2 stream=$3 pattern=$4 other=out; shift 4
  [ "$stream" = out ] && other=err
  n=$((n + 1))
  vjrun "$@"; local got=$?
  if [ $got -eq "$code" ] && grep -qE -- "$pattern" "$work/$stream" && ! [ -s "$work/$other" ]; then echo "ok $n - $name"
  else echo "not ok $n - $name"; echo "# exit $got, expected $code"; sed 's/^/# /' "$work/out" "$work/err"; fi
}
cat >right.yaml <<'Y'
recipe: 1
name: right
models: { base: { use: canned, path: . } }
iteration:
  questions: [ { use: scenes, count: 3 } ]
  closed_form: { sample: { use: majority, model: base } }
  judge: { use: pairwise, model: base }
  filters: [ { use: verdict } ]
  train: { use: canned, model: base }
Y
test_plugins="$VJ_BUILDDIR/tests/plugins"
case_ "no argument" 2 err "a recipe or a command is missing"
case_ "help" 0 out "Exit codes" --help
case_ "version" 0 out "^vjrun [0-9]" --version
case_ "unknown command" 2 err "did you mean 'check'" chekc
case_ "unknown option" 2 err "Unknown option --nope" check --nope
case_ "help of a command" 0 out "--plugin-path=DIR" check --help
case_ "check without recipe" 2 err "a recipe is missing" check
case_ "check prints the plan" 0 out "^judge +pairwise +model base, both orders" check --plugin-path "$test_plugins" right.yaml
case_ "check of a missing file" 3 err "absent.yaml: cannot be opened" check absent.yaml
case_ "check of a directory" 3 err "is a directory, not a file" check .
case_ "check with a fault" 3 err "--set: iteration.judge.orders: 'bth'; did you mean 'both'" check --plugin-path "$test_plugins" right.yaml --set iteration.judge.orders=bth
case_ "unknown log format" 2 err "expected human or json" check --log xml right.yaml
case_ "messages as JSON" 3 err '^\{"time":.*"exit":3,"text":"absent.yaml' check --log json absent.yaml
case_ "absent plugin directory" 8 err "is no directory to take plugins from" plugins --plugin-path /nonexistent
case_ "plugins are listed" 0 out "^filter +verdict " plugins
case_ "describe" 0 out "default: " describe scenes
case_ "describe an unknown plugin" 2 err "did you mean 'scenes'" describe scene
case_ "describe as Markdown" 0 out '^\| `' describe --markdown scenes
case_ "a name that is no run" 2 err "'/nope': there is neither a run directory nor a recipe" status /nope
case_ "no iteration at all" 3 err "repeat.iterations: '?0'?.*expected .*1" check --plugin-path "$test_plugins" right.yaml --set repeat.iterations=0
# What would never end, or waits for a writer, is refused; `timeout` is for the day when it is not.
mkfifo fifo; mkdir model; mkfifo model/config.json
vjrun() { timeout 60 "$VJ_BUILDDIR/vjrun" "$@" >"$work/out" 2>"$work/err"; }
pair=(--question q --answer-a XX --answer-b YY)
case_ "an image that is a FIFO" 4 err "fifo: not a regular file" judge "$VJ_SRCDIR/models/vj-tiny" -i fifo "${pair[@]}"
case_ "an image that is a device" 4 err "/dev/zero: not a regular file" judge "$VJ_SRCDIR/models/vj-tiny" -i /dev/zero "${pair[@]}"
case_ "a model whose config is a FIFO" 4 err "config.json.*not a regular file" judge model "${pair[@]}"
# The judge sees the answers in two orders; what is printed names them as the user did.
echo '{"rules": [{"match": ".*XX.*YY.*", "reply": "first [[A]]"}, {"match": ".*YY.*XX.*", "reply": "second [[B]]"}]}' >model/replies.json
canned=(--plugin-path "$test_plugins" --backend canned "${pair[@]}")
case_ "judge names the answers as the user does" 0 out "^answer A is better, in both orders" judge model "${canned[@]}"
n=$((n + 1))
if [ "$(grep -c '^  verdict  answer A is better$' out)" = 2 ] && grep -q "^order 2: the trace calls your answer B 'A'" out; then echo "ok $n - in each order"
else echo "not ok $n - in each order"; sed 's/^/# /' out; fi
rm -r fifo model
# Results that do not arrive are no success.
n=$((n + 1)); bad=
for command in --help --version plugins "describe scenes" "check --plugin-path $test_plugins right.yaml" "check --help"; do
  "$VJ_BUILDDIR/vjrun" $command >/dev/full 2>err; got=$?
  { [ $got -eq 6 ] && grep -q "standard output: the results could not be written" err; } || bad="$bad '$command' ends with $got;"
done
if [ -z "$bad" ]; then echo "ok $n - a full standard output ends with exit 6"; else echo "not ok $n - a full standard output ends with exit 6"; echo "# $bad"; fi
printf 'recipe: 1\nname: "\\e[2J"\n' >escape.yaml
case_ "escapes stay out of messages" 3 err "control character .x1b" check escape.yaml
case_ "foreign file names are inert" 3 err 'x1b\[2J.yaml: cannot be opened' check $'\033[2J.yaml'
cp right.yaml é.yaml
LC_ALL=C case_ "results are UTF-8 in any locale" 0 out 'right \(é\.yaml\)' check --plugin-path "$test_plugins" é.yaml
rm é.yaml
case_ "a missing model" 4 err "models.base.path: '.*/absent': there is no such model; mend the path" check --plugin-path "$test_plugins" right.yaml --set models.base.path=absent
# What only a plugin's start can refuse, and what is not there, is told before any work: by check, and by run.
refused=(--set iteration.closed_form.sample.threshold=99 --set "iteration.judge.prompt=which of {quesion}" --set models.base.path=absent)
for command in check "run --run-dir refused"; do
  case_ "a missing model among other faults: $command" 3 err "models.base.path: '.*/absent': there is no such model" $command --plugin-path "$test_plugins" right.yaml "${refused[@]}"
  n=$((n + 1))
  if [ "$(grep -c "right.yaml" err)" -eq 2 ] && grep -q "iteration.closed_form.sample: majority: 'threshold': 99 votes" err && grep -q "iteration.judge: pairwise: 'prompt': .*quesion" err
  then echo "ok $n - each plugin that does not start: $command"; else echo "not ok $n - each plugin that does not start: $command"; sed 's/^/# /' err; fi
done
mkdir pickle
cp "$VJ_SRCDIR"/models/vj-tiny/*.json pickle
: >pickle/pytorch_model.bin
case_ "a model that is only a pickle" 4 err "only a pickle file, which is never opened" judge pickle \
  -i "$VJ_SRCDIR/tests/fuzz/corpus/image/rgb.png" --question "which?" -a one -b two
rm -r pickle
n=$((n + 1))
if "$VJ_BUILDDIR/vjrun" status refused 2>/dev/null | grep -q "iteration"; then echo "not ok $n - nothing ran"; else echo "ok $n - nothing ran"; fi
rm -rf refused
n=$((n + 1))
vjrun check --plugin-path "$test_plugins" right.yaml --set models.base.log=absent
if [ $? -eq 0 ] && grep -q "warning: --set: models.base.log: '.*/absent' is not there; the run may need it" err; then echo "ok $n - a path that may be missing is a warning"
else echo "not ok $n - a path that may be missing is a warning"; sed 's/^/# /' err; fi
case_ "judge does not pass over --set" 2 err '--set and --deploy change a recipe' judge --set a.b=1 "$VJ_SRCDIR/models/vj-tiny" --question q -a a -b b
case_ "a compute that is none, of a trainer" 3 err "no compute plugin is called 'nonsense'.*built in are auto, cpu" check --plugin-path "$test_plugins" \
  "$VJ_SRCDIR/recipes/quickstart.yaml" --set iteration.train.compute=nonsense
case_ "a compute that is none, of a model" 3 err "no compute plugin is called 'nonsense'" check "$VJ_SRCDIR/recipes/quickstart.yaml" --set models.base.compute=nonsense
case_ "a compute that is built in" 0 out 'quickstart' check "$VJ_SRCDIR/recipes/quickstart.yaml" --set compute.use=cpu:generic --set iteration.train.compute=ref
case_ "top_p 0 keeps nothing" 3 err "top_p" check "$VJ_SRCDIR/recipes/quickstart.yaml" --set iteration.judge.top_p=0
case_ "judge says how sure it is" 0 out '^  confidence  (0\.[0-9]{4}|1\.0000)$' judge -q --recipe "$VJ_SRCDIR/recipes/vj-tiny-measure.yaml" \
  "$VJ_SRCDIR/models/vj-tiny" -i "$VJ_SRCDIR/tests/fuzz/corpus/image/rgba.png" --question "where is the circle" \
  -a "the circle is left of the square" -b "the square is left"
n=$((n + 1))
if [ "$(ls)" = "$(printf 'err\nescape.yaml\nout\nright.yaml')" ]; then echo "ok $n - nothing is left behind"; else echo "not ok $n - nothing is left behind"; ls | sed 's/^/# /'; fi
# The manual knows every command, every exit code and every shared option.
n=$((n + 1)); missing=
for word in $("$VJ_BUILDDIR/vjrun" --help | sed -n '/^Commands/,/^$/s/^  \([a-z]*\) .*/\1/p') $("$VJ_BUILDDIR/vjrun" check --help | grep -oE -- '--[a-z-]+'); do
  sed 's/\\-/-/g' "$VJ_SRCDIR/doc/vjrun.1" | grep -qwF -- "$word" || missing="$missing $word"
done
for code in $("$VJ_BUILDDIR/vjrun" --help | sed -n '/Exit codes/,$s/^ *\([0-9]*\)  .*/\1/p'); do
  grep -qE "^\.B.* ?\b$code\b" "$VJ_SRCDIR/doc/vjrun.1" || missing="$missing $code"
done
if [ -z "$missing" ]; then echo "ok $n - the manual is whole"; else echo "not ok $n - the manual is whole"; echo "# it lacks:$missing"; fi
echo "1..$n"
