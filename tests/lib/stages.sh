# shellcheck shell=bash
# Runs the stages of tests/run: each bounded in time, counted, and none may leave a process behind. Sourced by tests/run.

begin_stages() {
  log_dir=${CARGO_TARGET_DIR:-target}/tests-run
  rm -rf "$log_dir"
  mkdir -p "$log_dir"
  passed=0 failed=0 skipped=0 stages=0 broken=() child=
  # In the environment of every process of the stages, so that what is left of them can be told from what is not ours.
  run_id=$$-$RANDOM$RANDOM
  trap 'interrupted 130' INT
  trap 'interrupted 143' TERM
  trap 'end_leftovers 0 >/dev/null' EXIT
}

interrupted() {
  [[ -z $child ]] || kill -TERM "$child" 2>/dev/null || true
  exit "$1"
}

# run_bounded SECONDS NAME COMMAND... : shows what the command prints; sets `rc` and `log`.
run_bounded() {
  local seconds=$1 name=$2 begun=$SECONDS viewer
  shift 2
  rc=0 stages=$((stages + 1)) log=$log_dir/$stages.log
  say "== $name"
  : >"$log"
  # Not through a pipe: a process left behind would hold it open, and the run would wait for it for ever.
  ALARMBELL_TESTS_RUN=$run_id timeout -k 10 "$seconds" "$@" >>"$log" 2>&1 </dev/null &
  child=$!
  tail -n +1 -s 0.2 -f --pid="$child" "$log" &
  viewer=$!
  wait "$child" || rc=$?
  child=
  wait "$viewer" || true
  [[ $rc != 124 && $rc != 137 ]] || say "stopped: it took longer than $seconds s"
  say "== $name: exit $rc after $((SECONDS - begun)) s"
  [[ $rc == 0 ]] || broken+=("$name (exit $rc)")
}

# What does not build ends the run.
build_stage() {
  run_bounded "$@"
  [[ $rc == 0 ]] || end_stages
}

# Failed tests do not end the run, so that one run shows them all.
test_stage() {
  local p f s
  run_bounded "$@"
  read -r p f s < <(awk '/^test result:/ { gsub(/[^0-9 ]/, " "); p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }' "$log")
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  ((p + f > 0)) || broken+=("$2 (ran no test)")
  grep -E '^test .* \.\.\. ignored' "$log" | sed 's/^/SKIPPED /' >&2 || true
}

# left_over : the processes of this run's stages.
left_over() {
  local file
  for file in /proc/[0-9]*/environ; do
    if grep -qzsxF "ALARMBELL_TESTS_RUN=$run_id" "$file"; then
      file=${file#/proc/}
      printf '%s\n' "${file%/environ}"
    fi
  done
}

# end_leftovers SECONDS : gives what is left of the stages so long to end by itself, then ends it and prints what it was.
end_leftovers() {
  local until=$((SECONDS + $1)) pids pid
  while pids=$(left_over) && [[ -n $pids ]] && ((SECONDS < until)); do
    sleep 0.2
  done
  for pid in $pids; do
    printf '%s %s\n' "$pid" "$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | cut -c1-160)"
    kill -KILL "$pid" 2>/dev/null || true
  done
}

end_stages() {
  local left
  left=$(end_leftovers 5)
  if [[ -n $left ]]; then
    say "still running after the tests, ended now:"
    say "$left"
    broken+=("processes left behind")
  fi
  ((${#broken[@]} == 0)) || say "FAILED: $(printf '%s; ' "${broken[@]}")"
  printf 'tests/run: %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  ((${#broken[@]} == 0 && failed == 0)) || exit 1
  exit 0
}
