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
printf 'recipe: 1\nname: "\\e[2J"\n' >escape.yaml
case_ "escapes stay out of messages" 3 err "control character .x1b" check escape.yaml
case_ "foreign file names are inert" 3 err 'x1b\[2J.yaml: cannot be opened' check $'\033[2J.yaml'
cp right.yaml é.yaml
LC_ALL=C case_ "results are UTF-8 in any locale" 0 out 'right \(é\.yaml\)' check --plugin-path "$test_plugins" é.yaml
rm é.yaml
mkdir pickle
cp "$VJ_SRCDIR"/models/vj-tiny/*.json pickle
: >pickle/pytorch_model.bin
case_ "a model that is only a pickle" 4 err "only a pickle file, which is never opened" judge pickle \
  -i "$VJ_SRCDIR/tests/fuzz/corpus/image/rgb.png" --question "which?" -a one -b two
rm -r pickle
n=$((n + 1))
vjrun check --plugin-path "$test_plugins" right.yaml --set models.base.path=absent
if [ $? -eq 0 ] && grep -q "warning: --set: models.base.path: '.*/absent' is not there" err; then echo "ok $n - a missing path is told"
else echo "not ok $n - a missing path is told"; fi
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
