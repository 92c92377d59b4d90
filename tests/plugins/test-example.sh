#!/usr/bin/env bash
# doc/plugin-writing.md is true: its commands build the example outside the tree against vj.pc,
# vjrun finds it, and the test it shows passes. Prints TAP.
set -u
top=${VJ_SRCDIR:?} build=${VJ_BUILDDIR:?} n=0 bad=0
page=$top/doc/plugin-writing.md
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT

result() { # result STATUS NAME: one line of TAP; on failure what was printed goes with it
  n=$((n + 1))
  if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; sed 's/^/# /' "$work/log"; bad=1; fi
}
block() { # block LANGUAGE: the first code block of that language on the page
  awk -v fence="\`\`\`$1" '$0 == fence { inside = 1; next } inside && /^```/ { exit } inside' "$page"
}

echo 1..5
block c >"$work/swap-number.c"
diff "$work/swap-number.c" "$top/doc/examples/swap-number.c" >"$work/log"; result $? "the page shows the example"

# An installed vjrun, as far as an author sees it: vj.pc that names the headers, and the program in PATH.
sed "s|^Cflags:.*|Cflags: -I$top/core|" "$build/vj.pc" >"$work/vj.pc"
export PKG_CONFIG_PATH=$work${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH} PATH=$build:$PATH
block sh >"$work/commands"
(cd "$work" && umask 022 && bash -e commands) >"$work/log" 2>&1; result $? "the page's commands build the plugin and describe it"
grep -q "Farthest the number may move" "$work/log"; result $? "its option table is told"

nm -D --defined-only "$work/my-plugins/injectors/swap-number.so" 2>"$work/log" | awk '{ print $3 }' >>"$work/log"
[ "$(grep -vc '^_' "$work/log")" = 1 ] && grep -qx vj_plugin_query "$work/log"; result $? "it exports one symbol"

BENCH_PLUGINS=$work/my-plugins "$build/tests/plugins/test-swap-number" >"$work/log" 2>&1; result $? "the page's test passes"
exit $bad
