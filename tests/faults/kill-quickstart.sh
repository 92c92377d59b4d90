#!/usr/bin/env bash
# kill-quickstart.sh [N]: kills the real quickstart (at least N times, 50 by default) at random moments and goes on by the
# same command each time. The exports must equal that of an uninterrupted run byte for byte, and no draw that was answered
# may be asked again. Takes about ten times as long as a quickstart, so `make check` does not call it.
#
# VJ_BUILDDIR says where the build is (default: the current folder); VJ_RECIPE names another recipe;
# VJ_KILLS_A_RUN is how many kills one run survives before it may end (12). Leave the build alone meanwhile.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$(dirname "$here")")
export VJ_SRCDIR=${VJ_SRCDIR:-$top} VJ_BUILDDIR=${VJ_BUILDDIR:-$PWD}
export VJ_RECIPE=${VJ_RECIPE:-$top/recipes/quickstart.yaml} VJ_KILLS=${1:-50} VJ_KILLS_A_RUN=${VJ_KILLS_A_RUN:-12}
[ -x "$VJ_BUILDDIR/vjrun" ] || { echo "kill-quickstart.sh: no vjrun in $VJ_BUILDDIR; build first, or set VJ_BUILDDIR" >&2; exit 2; }
exec python3 "$top/tests/pipeline/test-resume.py"
