#!/usr/bin/env bash
# A Ray cluster of several nodes on this machine, which takes jobs as a real one does: to try things without a cluster.
# Start: cluster/local.sh up    Look: cluster/local.sh status    Stop: cluster/local.sh down
# Costs nothing but some 0.5 GB of memory a node. It is on 127.0.0.1, behind a token; `down` ends what `up` started.
set -euo pipefail

state=${MCKD_CLUSTER_STATE:-/tmp/mckd-cluster-$UID} # short: Ray puts sockets below it
mark=${state//\//_} # in each node's name; Serve names files after nodes, so no slashes
port=${MCKD_CLUSTER_PORT:-6399}
dashboard=${MCKD_CLUSTER_DASHBOARD:-8299}
nodes=${MCKD_CLUSTER_NODES:-3}
cpus=${MCKD_CLUSTER_CPUS:-4}
ray=${RAY:-$(dirname "$0")/../.venv/bin/ray}
attempts=3 # Ray gives a node half a minute to start, which is not enough on a busy machine

# The process groups, one a node, in which a process of ours lives: a pid file may outlive a reboot.
running() {
    local file files=("$state"/*.pid) found=1
    [[ $# == 0 ]] || files=("$state/$1.pid")
    for file in "${files[@]}"; do
        if [[ -f $file ]] && pgrep --pgroup "$(<"$file")" --full -- "$mark" >/dev/null; then
            echo "$(<"$file")"
            found=0
        fi
    done
    return "$found"
}

settings() {
    echo "export RAY_ADDRESS=http://127.0.0.1:$dashboard"
    echo "export RAY_AUTH_MODE=token"
    echo "export RAY_AUTH_TOKEN_PATH=$state/token"
}

# Starts the node of the number `$1` with the options that follow, and waits until it is there.
start() {
    local name=node$1
    for ((attempt = 1; attempt <= attempts; attempt++)); do
        launch "$@"
        while running "$name" >/dev/null; do
            if grep --quiet "Ray runtime started" "$state/$name.log" && dashboard_listens; then return; fi
            sleep 1
        done
    done
    down >/dev/null
    echo "$name did not start; its log is $state/$name.log" >&2
    exit 1
}

# The node gets a session of its own, so that its process group is the node. Jobs find `python` beside `ray`. The nodes
# share one address, so each has ports of its own.
launch() {
    local name=node$1 first=$((port + 1 + 4 * $1))
    shift
    PATH=$(cd "$(dirname "$ray")" && pwd):$PATH RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$state/token \
        RAY_USAGE_STATS_ENABLED=0 OMP_NUM_THREADS=1 \
        setsid "$ray" start --block --node-ip-address 127.0.0.1 --node-name "$mark-$name" --num-cpus "$cpus" \
        --object-store-memory 300000000 --min-worker-port 0 --max-worker-port 0 \
        --dashboard-agent-grpc-port "$first" --dashboard-agent-listen-port $((first + 1)) \
        --runtime-env-agent-port $((first + 2)) --metrics-export-port $((first + 3)) \
        "$@" >"$state/$name.log" 2>&1 </dev/null &
    echo $! >"$state/$name.pid"
    # On a busy machine it takes a moment until it has its process group.
    while kill -0 $! 2>/dev/null && ! running "$name" >/dev/null; do sleep 0.1; done
}

dashboard_listens() {
    (: <"/dev/tcp/127.0.0.1/$dashboard") 2>/dev/null
}

up() {
    if running >/dev/null; then
        echo "already up: cluster/local.sh status" >&2
        exit 1
    fi
    [[ -x $ray ]] || { echo "no ray at $ray: run make install, or set RAY" >&2; exit 2; }
    (umask 077 && mkdir -p "$state" && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$state/token")
    start 0 --head --port "$port" --temp-dir "$state/ray" \
        --include-dashboard true --dashboard-host 127.0.0.1 --dashboard-port "$dashboard"
    # As in the launch files of real clusters: nodes for the teacher (here one) and for students have labels.
    for ((number = 1; number < nodes; number++)); do
        start "$number" --address "127.0.0.1:$port" --labels "mckd=$([[ $number == 1 ]] && echo teacher || echo student)"
    done
    echo "up: $nodes nodes of $cpus CPUs. In the shell that submits:"
    settings
}

down() {
    local alive
    if ! alive=$(running); then
        echo "not up"
        return
    fi
    for group in $alive; do kill -TERM -- "-$group"; done
    for _ in {1..30}; do
        alive=$(running) || break
        sleep 1
    done
    for group in $alive; do kill -KILL -- "-$group"; done
    rm -f "$state"/*.pid "$state/token"
    echo "down"
}

status() {
    if running >/dev/null; then
        echo "up: $(running | wc -l) nodes, logs $state/*.log"
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
