#!/usr/bin/env bash
# A plugin written outside the tree: built with pkg-config against an installation, dropped in a directory, found.
set -uo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
n=0
ok() { n=$((n + 1)); if "${@:2}" >"$work/out" 2>"$work/err"; then echo "ok $n - $1"; else echo "not ok $n - $1"; sed 's/^/# /' "$work/out" "$work/err"; fi; }

# Headers and vj.pc as `make install` lays them out, without installing all the rest.
ok "headers and vj.pc install" make -s -C "$VJ_BUILDDIR" DESTDIR="$work/root" install-vjincludeHEADERS install-pkgconfigDATA
pc=$(find "$work/root" -name vj.pc)
sed -i "s|^prefix=|prefix=$work/root|" "$pc" # staged, not installed
build() {
  local flags; flags=$(PKG_CONFIG_PATH=$(dirname "$pc") pkg-config --cflags vj) || return
  ${CC:-cc} -shared -fPIC -Wall -Werror $flags -o "$work/mine/swap-number.so" "$VJ_SRCDIR/doc/examples/swap-number.c"
}
mkdir "$work/mine"
ok "compiles with pkg-config --cflags vj" build
ok "is described" "$VJ_BUILDDIR/vjrun" describe --plugin-path "$work/mine" swap-number
recipe=$work/r.yaml
cat >"$recipe" <<'Y'
recipe: 1
name: mine
models: { base: { use: canned, path: . } }
iteration:
  questions: [ { use: scenes, count: 3 } ]
  open_ended: { respond: { model: base }, inject: [ { use: swap-number, distance: 4 } ] }
  judge: { use: pairwise, model: base }
  train: { use: canned, model: base }
Y
check() { "$VJ_BUILDDIR/vjrun" check --plugin-path "$work/mine" --plugin-path "$VJ_BUILDDIR/tests/plugins" "$recipe" "$@"; }
ok "works in a recipe" check
refused() { check --set iteration.open_ended.inject.0.distance=40; [ $? -eq 3 ] && grep -q 'expected an integer from 1 to 9' "$work/err"; }
ok "its options are checked" refused
twice() { mkdir -p "$work/mine/injectors" && cp "$work/mine/swap-number.so" "$work/mine/injectors/" && { check; [ $? -eq 8 ]; } && grep -q 'is there twice' "$work/err"; }
ok "and refused when it is there twice" twice
# A file that takes the process with it before it is known as a plugin: it is named all the same.
cat >"$work/dies.c" <<'C'
#include <stdlib.h>
CONSTRUCTOR static void begin (void) { ON_LOAD; }
__attribute__ ((visibility ("default"))) void *vj_plugin_query (void) { begin (); return (void *) 8; }
C
dies() { # EXIT (crash: any but 0) MESSAGE FLAGS...
  mkdir -p "$work/dies/filters" && ${CC:-cc} -shared -fPIC -o "$work/dies/filters/dies.so" "${@:3}" "$work/dies.c" || return
  (ulimit -c 0; exec "$VJ_BUILDDIR/vjrun" plugins --plugin-path "$work/dies")
  local got=$?
  { [ "$1" = crash ] && [ $got -ne 0 ] || [ "$1" = $got ]; } && grep -qF "$2 while loading $work/dies/filters/dies.so: report it" "$work/err"
}
ok "exit() in a constructor is told" dies 8 "exit() was called" '-DCONSTRUCTOR=__attribute__((constructor))' '-DON_LOAD=exit(0)'
ok "exit() in the query is told" dies 8 "exit() was called" -DCONSTRUCTOR= '-DON_LOAD=exit(0)'
ok "abort() in the query is told" dies crash "(SIGABRT)" -DCONSTRUCTOR= '-DON_LOAD=abort()'
ok "a descriptor that is none is told" dies crash "(SIGSEGV)" -DCONSTRUCTOR= '-DON_LOAD=(void)0'
# Unfit files in the directory itself, whose role nobody knows, are told too.
unfit() {
  mkdir "$work/unfit" && echo text >"$work/unfit/text.so" && ln -s absent "$work/unfit/dangling.so" || return
  "$VJ_BUILDDIR/vjrun" plugins --plugin-path "$work/unfit"; [ $? -eq 8 ] || return
  grep -qF "$work/unfit/text.so: is no shared object" "$work/err" && grep -qF "$work/unfit/dangling.so: cannot be opened" "$work/err"
}
ok "unfit files in the directory itself are told" unfit
unfit_one() { "$VJ_BUILDDIR/vjrun" describe --plugin-path "$work/unfit" dangling; [ $? -eq 8 ] && grep -qF "$work/unfit/dangling.so: cannot be opened" "$work/err"; }
ok "and when one is asked for" unfit_one
# A directory that anyone may write to, though its folders are in order.
open_directory() { chmod 0777 "$work/mine"; "$VJ_BUILDDIR/vjrun" plugins --plugin-path "$work/mine"; [ $? -eq 8 ] && grep -qF "$work/mine: anyone may write here" "$work/err"; }
ok "a directory open to all is refused" open_directory
echo "1..$n"
