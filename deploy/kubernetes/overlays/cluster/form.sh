#!/bin/sh
# Forms the cluster, or repairs it: every step is skipped where its result is there, so it may run again at any time.
# The first half of the nodes become primaries and share the slots. Every node without slots, also one that came back
# with an empty disk, becomes a replica of the primary that has the fewest.
#   NODES            the names of all nodes, separated by spaces
#   VALKEY_PASSWORD  the password of the cluster
#   PORT             6379 by default
#   PATIENCE         seconds to wait for each step, 120 by default
set -eu
export REDISCLI_AUTH="$VALKEY_PASSWORD" # valkey-cli reads it
port=${PORT:-6379}
slots=16384
# shellcheck disable=SC2086
set -- $NODES
count=$#
primaries=$((count / 2))
first=$1

cli() { # NODE COMMAND...
    node=$1
    shift
    valkey-cli -e -h "$node" -p "$port" "$@"
}
info() { # NODE FIELD: a number or a word of CLUSTER INFO
    cli "$1" cluster info | tr -d '\r' | sed -n "s/^$2://p"
}
own_slots() { # NODE: its slots, empty if it has none
    cli "$1" cluster nodes | awk '$3 ~ /myself/ { for (i = 9; i <= NF; i++) print $i }'
}
is_primary() { # NODE
    cli "$1" cluster nodes | awk '$3 ~ /myself/ && $3 ~ /master/ { found = 1 } END { exit !found }'
}
least_replicated() { # NODE: the id of the primary with slots that has the fewest replicas, as this node sees it
    cli "$1" cluster nodes | awk '
        $3 ~ /fail|handshake|noaddr/ { next }
        $3 ~ /master/ && NF > 8 { slot[$1] = $9 + 0 }
        $3 ~ /slave/ { replicas[$4]++ }
        END {
            for (id in slot)
                if (best == "" || replicas[id] + 0 < replicas[best] + 0 ||
                    replicas[id] + 0 == replicas[best] + 0 && slot[id] < slot[best]) best = id
            print best
        }'
}
await() { # COMMAND...: until it succeeds
    left=${PATIENCE:-120}
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || { echo "timed out waiting for: $*" >&2; exit 1; }
        sleep 1
    done
}
at_least() { [ "$(info "$1" "$2")" -ge "$3" ]; } # NODE FIELD NUMBER
replicates() { cli "$first" cluster nodes | grep -q "^$1 .*slave $2 "; } # REPLICA'S-ID PRIMARY'S-ID
is_ok() { [ "$(info "$1" cluster_state)" = ok ]; }
linked() { cli "$1" info replication | grep -Eq '^(role:master|master_link_status:up)'; }

for node in "$@"; do await cli "$node" ping; done

for node in "$@"; do
    [ "$node" != "$first" ] || continue
    address=$(getent ahosts "$node" | awk 'NR == 1 { print $1 }')
    cli "$first" cluster meet "$address" "$port" >/dev/null
done
for node in "$@"; do await at_least "$node" cluster_known_nodes "$count"; done

assigned=0
for node in "$@"; do
    seen=$(info "$node" cluster_slots_assigned)
    [ "$seen" -le "$assigned" ] || assigned=$seen
done
if [ "$assigned" -lt "$slots" ]; then
    index=0
    for node in "$@"; do
        [ "$index" -lt "$primaries" ] || break
        if [ -z "$(own_slots "$node")" ]; then
            from=$((slots * index / primaries)) to=$((slots * (index + 1) / primaries - 1))
            cli "$node" cluster addslotsrange "$from" "$to" >/dev/null
            echo "$node: slots $from to $to"
        fi
        index=$((index + 1))
    done
fi
for node in "$@"; do await at_least "$node" cluster_slots_assigned "$slots"; done

for node in "$@"; do
    if is_primary "$node" && [ -z "$(own_slots "$node")" ]; then
        primary=$(least_replicated "$first")
        cli "$node" cluster replicate "$primary" >/dev/null
        await replicates "$(cli "$node" cluster myid)" "$primary"
        echo "$node: replica of $primary"
    fi
done
for node in "$@"; do await is_ok "$node"; await linked "$node"; done
echo "cluster of $count nodes: ok"
