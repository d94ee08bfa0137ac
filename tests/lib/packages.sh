# shellcheck shell=bash
# Gets the programs that the tests drive: Debian's prometheus, prometheus-alertmanager, postgresql and chromium, the
# fonts its screenshots need, and a C compiler for the bundled SQLite. Sourced by tests/run; needs `set -euo pipefail`.
#
# What the machine has is used. What it lacks is downloaded with apt (which checks the archive's signatures) and
# unpacked below a cache folder, for root and for anybody else alike: nothing is installed, no service is started, and
# `rm -r` of that folder undoes it all. PostgreSQL does not run as root: root's copy is in $public_cache, where the user
# that it runs as can reach it.

public_cache=/var/cache/alarmbell-tests
cache_root=${XDG_CACHE_HOME:-${HOME:-$PWD/target}/.cache}/alarmbell-tests

say() { printf '%s\n' "$*" >&2; }

# Everything that could not be had, so that one run names it all.
missing_packages=()

# --- apt, with lists and archives of its own ------------------------------------------------------------------------

# One folder per release and architecture: a library of one release must never meet a program of another.
cache_dir() {
  local release
  release=$(. /etc/os-release 2>/dev/null && printf '%s-%s' "${ID:-linux}" "${VERSION_CODENAME:-${VERSION_ID:-any}}")
  printf '%s/%s-%s' "$cache_root" "$release" "$(uname -m)"
}

own_apt() { apt-get -c "$apt_dir/apt.conf" "$@"; }

# Fetches the package lists once a run, whoever we are. A third party's source may fail: what counts is that the
# packages are found afterwards.
prepare_apt() {
  [[ -z ${apt_prepared:-} ]] || return 0
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
  apt_dir=$cache/apt
  mkdir -p "$apt_dir"/state/lists/partial "$apt_dir"/cache/archives/partial "$apt_dir"/log
  cat >"$apt_dir/apt.conf" <<CONF
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::State "$apt_dir/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "$apt_dir/cache";
Dir::Log "$apt_dir/log";
APT::Sandbox::User "root";
Debug::NoLocking "true";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
CONF
  say "  package lists ..."
  own_apt update >"$apt_dir/update.log" 2>&1 || true
  apt_prepared=yes
}

# with_dependencies PACKAGE... : the packages themselves and those of their dependencies that this machine lacks. Never
# the C library: the machine's own dynamic linker loads it, and only a pair of one build fits together.
with_dependencies() {
  own_apt -s --no-install-recommends install "$@" 2>>"$apt_dir/resolve.log" |
    awk '$1 == "Inst" && $2 !~ /^(libc6|libc-bin|libc-l10n)(:|$)/ { print $2 }'
}

# unpack BUNDLE PACKAGE... : downloads exactly these packages and unpacks them to $cache/BUNDLE.
unpack() {
  local bundle=$1 debs=$cache/$1.debs new=$cache/$1.new deb dir
  shift
  (($# > 0)) || return 1
  rm -rf "$debs" "$new"
  mkdir -p "$debs"
  say "  downloading $# packages for $bundle ..."
  (cd "$debs" && own_apt download "$@" >"$cache/$bundle.log" 2>&1) || return 1
  # Debian's own layout, so that files of /lib and of /usr/lib meet.
  for dir in bin lib lib64 sbin; do
    mkdir -p "$new/usr/$dir"
    ln -s "usr/$dir" "$new/$dir"
  done
  for deb in "$debs"/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$new" --keep-directory-symlink --no-same-owner 2>>"$cache/$bundle.log" || return 1
  done
  rm -rf "$debs" "${cache:?}/$bundle"
  mv "$new" "$cache/$bundle"
}

# offer BUNDLE CHECK PACKAGE... : unless `CHECK` already passes, runs the function `make_BUNDLE` and checks again.
offer() {
  local bundle=$1 check=$2
  shift 2
  if "$check"; then
    return 0
  fi
  say "getting $bundle (into $cache) ..."
  if prepare_apt && "make_$bundle" && "$check"; then
    return 0
  fi
  missing_packages+=("$@")
}

# Where the dynamic linker finds a bundle's libraries: some keep theirs in a folder of their own (nss, pulseaudio).
library_path() {
  local libraries
  libraries=$1/usr/lib/$(uname -m)-linux-gnu
  find "$libraries" -maxdepth 2 -name '*.so*' -printf '%h\n' | sort -u | paste -sd:
}

# first_working ARGUMENT PROGRAM... : the first of the programs that runs with this argument, as a full path.
first_working() {
  local argument=$1 program path
  shift
  for program in "$@"; do
    if [[ -n $program ]] && path=$(command -v "$program") && timeout 20 "$path" "$argument" >/dev/null 2>&1; then
      printf '%s' "$path"
      return 0
    fi
  done
  return 1
}

# --- what the tests need --------------------------------------------------------------------------------------------

# Each with its checker for config files.
check_prometheus() {
  PROMETHEUS_BIN=$(first_working --version "${PROMETHEUS_BIN:-}" prometheus "$cache/prometheus/usr/bin/prometheus") &&
    PROMTOOL_BIN=$(first_working --version "${PROMTOOL_BIN:-}" "${PROMETHEUS_BIN%/*}/promtool" promtool)
}
make_prometheus() {
  local packages
  # promtool is a package of its own since trixie. The rest are the parts of a web page.
  mapfile -t packages < <(with_dependencies prometheus | grep -xE 'prometheus|promtool')
  unpack prometheus "${packages[@]}"
}

# Upstream's archive calls the program `alertmanager`.
check_alertmanager() {
  ALERTMANAGER_BIN=$(first_working --version "${ALERTMANAGER_BIN:-}" prometheus-alertmanager alertmanager \
    "$cache/alertmanager/usr/bin/prometheus-alertmanager") &&
    AMTOOL_BIN=$(first_working --version "${AMTOOL_BIN:-}" "${ALERTMANAGER_BIN%/*}/amtool" amtool)
}
make_alertmanager() { unpack alertmanager prometheus-alertmanager; }

# The user that the tests run the database as (tests/support/postgres.rs), when they run as root.
as_server_user() {
  local user
  if [[ $EUID != 0 ]]; then
    "$@"
    return
  fi
  for user in postgres nobody; do
    if id "$user" >/dev/null 2>&1; then
      setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups "$@"
      return
    fi
  done
  return 1
}

# Makes a cluster in a folder that goes again, so that a missing library shows here and not in a test.
makes_cluster() {
  local program=$1 folder rc=0
  [[ $("$program" --version 2>/dev/null) =~ \)\ ([0-9]+) ]] && ((BASH_REMATCH[1] >= 15)) || return 1
  folder=$(mktemp -d)
  chmod 777 "$folder"
  (cd "$folder" && as_server_user timeout 60 "${program%/*}/initdb" --no-sync --no-locale --encoding=UTF8 \
    --pgdata="$folder/data") >"$cache/postgresql-check.log" 2>&1 || rc=1
  rm -rf "$folder"
  return "$rc"
}

# The newest of the machine's, of 15 or later, or the unpacked one. Its cluster, when it has one, is left alone.
check_postgresql() {
  local program
  while read -r program; do
    # Not through a folder of root's.
    if program=$(readlink -e "$program") && makes_cluster "$program"; then
      POSTGRES_BIN=$program
      return 0
    fi
  done < <(
    printf '%s\n' "${POSTGRES_BIN:-}"
    compgen -G '/usr/lib/postgresql/*/bin/postgres' | sort -rV
    printf '%s\n' "$cache/postgresql/run/postgres"
  )
  return 1
}
make_postgresql() {
  local packages root programs name
  # Without what compiles queries, and Debian's own scripts around clusters.
  mapfile -t packages < <(with_dependencies postgresql |
    grep -vE '^(postgresql|postgresql-common(-dev)?|postgresql-client-common|libllvm.*|libz3.*|locales|ssl-cert|sysstat|logrotate|.*perl.*|adduser|netbase|openssl|ucf)$')
  unpack postgresql "${packages[@]}" || return 1
  if [[ $EUID == 0 ]]; then
    root=$public_cache/${cache##*/}/postgresql
    mkdir -p "${root%/*}"
    chmod 755 "$public_cache" "${root%/*}"
    rm -rf "$root"
    mv "$cache/postgresql" "$root"
    ln -s "$root" "$cache/postgresql"
  else
    root=$cache/postgresql
  fi
  chmod 755 "$root"
  programs=$(compgen -G "$root/usr/lib/postgresql/*/bin") || return 1
  mkdir "$root/run"
  for name in postgres initdb pg_ctl; do
    printf '#!/bin/sh\nexport LD_LIBRARY_PATH=%q\nexec %q "$@"\n' "$(library_path "$root")" "$programs/$name" >"$root/run/$name"
    chmod 755 "$root/run/$name"
  done
}

# Draws a page, so that a missing library shows here and not in a test.
draws() {
  local profile page rc=0
  profile=$(mktemp -d)
  page=$(timeout -k 5 60 "$1" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage \
    --user-data-dir="$profile" --dump-dom 'data:text/html,<p>drawn</p>' 2>"$cache/chromium-check.log") || rc=1
  # A helper process of the browser may still be writing there.
  rm -rf "$profile" 2>/dev/null || { sleep 1 && rm -rf "$profile"; }
  [[ $rc == 0 && $page == *'<p>drawn</p>'* ]]
}

check_chromium() {
  local program path
  for program in "${CHROMIUM_BIN:-}" chromium "$cache/chromium/run"; do
    if [[ -n $program ]] && path=$(command -v "$program") && draws "$path"; then
      CHROMIUM_BIN=$path
      return 0
    fi
  done
  return 1
}
make_chromium() {
  local packages
  mapfile -t packages < <(with_dependencies chromium fontconfig-config)
  unpack chromium "${packages[@]}" || return 1
  write_browser_script "$cache/chromium/run" "$cache/chromium/usr/lib/chromium/chromium" "$cache/chromium"
}

# write_browser_script FILE PROGRAM [ROOT] : a script that starts the browser with the unpacked libraries and fonts.
write_browser_script() {
  local file=$1 program=$2 root=${3:-} base=/etc/fonts/fonts.conf
  [[ -e $base || -z $root ]] || base=$root/etc/fonts/fonts.conf
  cat >"$cache/fonts.conf" <<CONF
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">$base</include>
  <dir>$cache/chromium/usr/share/fonts</dir>
  <dir>$cache/fonts/usr/share/fonts</dir>
  <cachedir>$cache/fontconfig</cachedir>
</fontconfig>
CONF
  {
    printf '#!/bin/sh\n'
    [[ -z $root ]] || printf 'export LD_LIBRARY_PATH=%q\n' "$(library_path "$root")"
    printf 'export FONTCONFIG_FILE=%q\n' "$cache/fonts.conf"
    printf 'exec %q "$@"\n' "$program"
  } >"$file"
  chmod +x "$file"
}

# The messages are Chinese with a few coloured circles; without these fonts a screenshot shows empty boxes.
check_fonts() {
  local name
  for name in NotoSansCJK-Regular.ttc NotoColorEmoji.ttf; do
    compgen -G "/usr/share/fonts/*/*/$name" >/dev/null || compgen -G "$cache/fonts/usr/share/fonts/*/*/$name" >/dev/null || return 1
  done
}
make_fonts() { unpack fonts fonts-noto-cjk fonts-noto-color-emoji; }

# Links a program, as rustc will.
check_compiler() {
  local folder rc=0
  [[ ! -x $cache/compiler/bin-path/cc ]] || command -v cc >/dev/null || PATH=$cache/compiler/bin-path:$PATH
  folder=$(mktemp -d)
  printf '#include <stdio.h>\n#include <pthread.h>\nint main(void) { return puts("ok") < 0; }\n' >"$folder/a.c"
  { cc -o "$folder/a" "$folder/a.c" -lm -lpthread && "$folder/a"; } >"$cache/compiler-check.log" 2>&1 || rc=1
  rm -rf "$folder"
  return "$rc"
}
make_compiler() {
  local root=$cache/compiler triplet packages name file
  triplet=$(uname -m)-linux-gnu
  mapfile -t packages < <(with_dependencies gcc libc6-dev)
  unpack compiler "${packages[@]}" || return 1
  # The linker looks for shared libraries below its own root only: lend it the machine's.
  for file in "/lib/$triplet"/*.so.[0-9]* /lib64/ld-linux* /lib/ld-linux*; do
    [[ ! -e $file || -e $root$file ]] || ln -s "$file" "$root$file"
  done
  mkdir "$root/bin-path"
  # The compiler calls the assembler and the linker by these names; build scripts call ar.
  for name in gcc ar as ld ranlib; do
    cat >"$root/bin-path/$name" <<SCRIPT
#!/bin/sh
export LD_LIBRARY_PATH='$(library_path "$root")'
exec '$root/usr/bin/$name' $([[ $name != gcc ]] || printf -- "--sysroot='%s' -B'%s'" "$root" "$root/bin-path") "\$@"
SCRIPT
    chmod +x "$root/bin-path/$name"
  done
  ln -s gcc "$root/bin-path/cc"
}

# Gets all of it and exports the names, or prints the one command that is left to run and returns 2.
get_packages() {
  cache=$(cache_dir)
  mkdir -p "$cache"
  offer compiler check_compiler gcc libc6-dev
  offer prometheus check_prometheus prometheus
  offer alertmanager check_alertmanager prometheus-alertmanager
  offer postgresql check_postgresql postgresql
  offer chromium check_chromium chromium
  offer fonts check_fonts fonts-noto-cjk fonts-noto-color-emoji
  if ((${#missing_packages[@]} > 0)); then
    say
    say "These could neither be found nor fetched: ${missing_packages[*]} (logs are in $cache)."
    say "Run this as root, then start again:"
    say
    say "    apt-get update && apt-get install --no-install-recommends ${missing_packages[*]}"
    say
    say "On a system without apt, install them your own way and name the programs in PROMETHEUS_BIN, ALERTMANAGER_BIN,"
    say "POSTGRES_BIN and CHROMIUM_BIN (promtool and amtool beside them or in PATH, initdb and pg_ctl beside postgres); a"
    say "C compiler must be found as cc."
    return 2
  fi
  # A browser of the machine with fonts of the cache needs to be told of them.
  if [[ -d $cache/fonts && $CHROMIUM_BIN != "$cache"/* ]]; then
    write_browser_script "$cache/chromium-with-fonts" "$CHROMIUM_BIN"
    CHROMIUM_BIN=$cache/chromium-with-fonts
  fi
  export PATH PROMETHEUS_BIN PROMTOOL_BIN ALERTMANAGER_BIN AMTOOL_BIN POSTGRES_BIN CHROMIUM_BIN
}
