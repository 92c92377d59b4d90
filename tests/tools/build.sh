# Sourced by ./quickstart and ./check: installs what is missing, configures and builds.
# Not for: running anything. Works from any folder; safe to call again at any time.
#
# vj_install PACKAGE...             Debian packages that are not there yet
# vj_build DIR [CONFIGURE-ARG...]   an out-of-tree build of this checkout in DIR

VJ_PACKAGES="gcc make autoconf automake pkg-config xz-utils python3 libglib2.0-dev libyaml-dev libjansson-dev
libsqlite3-dev libpcre2-dev libmagickwand-6.q16-dev libopenblas-dev"

vj_say() { printf '%s\n' "$*" >&2; }

vj_install() {
  local missing=() p as_root=()
  for p in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { vj_say "missing: ${missing[*]}; as root: apt-get install ${missing[*]}"; return 1; }
    as_root=(sudo)
  fi
  vj_say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  local log; log=$(mktemp)
  if ! { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq update &&
         "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1
  then tail -n 20 "$log" >&2; rm -f "$log"; return 1; fi
  rm -f "$log"
}

vj_build() {
  local dir=$1; shift
  case $VJ_TOP in *[[:space:]]*)
    vj_say "$VJ_TOP: make cannot build below a folder with a space in its name; move the clone elsewhere"; return 1 ;;
  esac
  mkdir -p "$dir"
  # Generated files are older than their inputs after a pull: autoreconf then runs again, make does the rest.
  if [ ! -x "$VJ_TOP/configure" ] || [ "$VJ_TOP/configure.ac" -nt "$VJ_TOP/configure" ]; then
    (cd "$VJ_TOP" && autoreconf -fi) >"$dir/autoreconf.log" 2>&1 || { tail -n 20 "$dir/autoreconf.log" >&2; return 1; }
  fi
  if [ ! -f "$dir/Makefile" ]; then
    vj_say "configuring $dir"
    (cd "$dir" && "$VJ_TOP/configure" "$@") >"$dir/configure.log" 2>&1 || { tail -n 20 "$dir/configure.log" >&2; return 1; }
  fi
  vj_say "building $dir"
  make -C "$dir" -s -j"$(nproc)" >"$dir/make.log" 2>&1 || { grep -A3 -E 'error|Error' "$dir/make.log" | head -n 40 >&2; return 1; }
}
