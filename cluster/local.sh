#!/usr/bin/env bash
# A Ray head on this machine that takes jobs as a real cluster does: to try `cluster/submit.sh` without a cluster.
# Start: cluster/local.sh up    Look: cluster/local.sh status    Stop: cluster/local.sh down
# Its dashboard and jobs are on 127.0.0.1, behind a token; `down` ends the processes that `up` started, no others.
set -euo pipefail

state=${MCKD_CLUSTER_STATE:-/tmp/mckd-cluster-$UID} # short: Ray puts sockets below it
pid_file=$state/pid
port=${MCKD_CLUSTER_PORT:-6399}
dashboard=${MCKD_CLUSTER_DASHBOARD:-8299}
ray=${RAY:-$(dirname "$0")/../.venv/bin/ray}

# Whether a process of our group that names our folder lives: a pid file may outlive a reboot.
running() {
    [[ -f $pid_file ]] && pgrep --pgroup "$(<"$pid_file")" --full -- "$state" >/dev/null
}

settings() {
    echo "export RAY_ADDRESS=http://127.0.0.1:$dashboard"
    echo "export RAY_AUTH_MODE=token"
    echo "export RAY_AUTH_TOKEN_PATH=$state/token"
}

up() {
    if running; then
        echo "already up: cluster/local.sh status" >&2
        exit 1
    fi
    [[ -x $ray ]] || { echo "no ray at $ray: run make install, or set RAY" >&2; exit 2; }
    mkdir -p -m 700 "$state"
    (umask 077 && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$state/token")
    # A session of its own, so that its process group is the cluster. Jobs find `python` beside `ray`.
    PATH=$(cd "$(dirname "$ray")" && pwd):$PATH RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$state/token RAY_USAGE_STATS_ENABLED=0 OMP_NUM_THREADS=1 \
        setsid "$ray" start --head --block --node-ip-address 127.0.0.1 --port "$port" \
        --include-dashboard true --dashboard-host 127.0.0.1 --dashboard-port "$dashboard" \
        --num-cpus "${MCKD_CLUSTER_CPUS:-8}" --temp-dir "$state/ray" >"$state/log" 2>&1 </dev/null &
    echo $! >"$pid_file"
    for _ in {1..120}; do
        sleep 1
        running || { echo "the head ended at once; its log is $state/log" >&2; exit 1; }
        if ready; then
            echo "up. In the shell that submits:"
            settings
            return
        fi
    done
    down
    echo "the head did not answer within two minutes; its log is $state/log" >&2
    exit 1
}

ready() {
    (
        eval "$(settings)"
        "$ray" job list >/dev/null 2>&1
    )
}

down() {
    if ! running; then
        echo "not up"
        return
    fi
    local group
    group=$(<"$pid_file")
    kill -TERM -- "-$group"
    for _ in {1..30}; do
        running || break
        sleep 1
    done
    if running; then kill -KILL -- "-$group"; fi
    rm -f "$pid_file" "$state/token"
    echo "down"
}

status() {
    if running; then
        echo "up, process group $(<"$pid_file"), log $state/log"
        settings
    else
        echo "not up"
        exit 1
    fi
}

case ${1:-} in
up | down | status) "$1" ;;
*)
    echo "usage: cluster/local.sh up|down|status" >&2
    exit 2
    ;;
esac
