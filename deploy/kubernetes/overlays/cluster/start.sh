#!/bin/sh
# Starts one node of the cluster: start.sh CONFIGURATION [OPTION...]
#   NODE             this node's name
#   NODES            the names of all nodes, separated by spaces
#   VALKEY_PASSWORD  the password of the cluster, for clients and replicas
#   PORT             6379 by default
set -eu
export REDISCLI_AUTH="$VALKEY_PASSWORD" # valkey-cli reads it
port=${PORT:-6379}

# Nodes remember each other by address. One that restarts with another address reaches its peers and they learn it. But
# if all restart with other addresses, none finds another. So each member introduces itself at the addresses that the
# names have now, for some minutes, because DNS may still answer with old ones.
introduce() {
    until answers; do sleep 1; done
    known=$(cli cluster info | sed -n 's/^cluster_known_nodes:\([0-9]*\).*/\1/p')
    [ "$known" -gt 1 ] || return 0 # not a member yet: form.sh makes it one
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
        answers || return 0
        for peer in $NODES; do
            [ "$peer" != "$NODE" ] || continue
            address=$(getent ahosts "$peer" | awk 'NR == 1 { print $1 }')
            [ -z "$address" ] || cli cluster meet "$address" "$port" >/dev/null
        done
        sleep 10
    done
}
cli() { valkey-cli -e -h "$NODE" -p "$port" "$@"; }
answers() { cli ping >/dev/null 2>&1; }

introduce &
exec valkey-server "$@" --cluster-announce-hostname "$NODE" \
    --requirepass "$VALKEY_PASSWORD" --primaryauth "$VALKEY_PASSWORD"
