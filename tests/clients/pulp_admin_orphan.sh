#!/usr/bin/env bash
# What `pulp-admin orphan` did with the API of version 2, with curl and jq.
#
#   pulp_admin_orphan.sh URL USER:PASSWORD list [--type TYPE [--details]] [--summary]
#   pulp_admin_orphan.sh URL USER:PASSWORD remove --all | --type TYPE [--unit-id ID]
#
# 64: it was called wrongly, 1: the server refused, or a task did not finish.
set -euo pipefail

usage() { echo "usage: $*" >&2; exit 64; }
[ $# -ge 3 ] || usage "URL USER:PASSWORD list|remove ..."
api=$1/pulp/api/v2 credentials=$2 command=$3
shift 3

# call METHOD PATH: the body of a success; anything else is said by the server.
call() {
  local answer status
  answer=$(curl --silent --show-error --noproxy '*' --user "$credentials" --request "$1" --write-out '\n%{http_code}' "$2")
  status=${answer##*$'\n'} answer=${answer%$'\n'*}
  case $status in
    2*) printf '%s' "$answer" ;;
    *) jq -r '"\(.http_status): \(.error.code) \(.error_message)"' <<<"$answer" >&2; return 1 ;;
  esac
}

# follow HREF: waits for a task and all that it spawned.
follow() {
  local task state
  while :; do
    task=$(call GET "${api%/pulp/api/v2}$1")
    state=$(jq -r .state <<<"$task")
    case $state in
      waiting | running | accepted | suspended) sleep 0.2 ;;
      *) break ;;
    esac
  done
  jq -r '"\(.state): \(.result | tojson)"' <<<"$task"
  [ "$state" = finished ] || return 1
  local child
  for child in $(jq -r '.spawned_tasks[]._href' <<<"$task"); do follow "$child"; done
}

type="" unit="" all="" details="" summary=""
while [ $# -gt 0 ]; do
  case $1 in
    --type | --unit-id)
      [ $# -ge 2 ] || usage "$1 needs a value"
      if [ "$1" = --type ]; then type=$2; else unit=$2; fi
      shift
      ;;
    --all) all=1 ;;
    --details) details=1 ;;
    --summary) summary=1 ;;
    *) usage "no such option: $1" ;;
  esac
  shift
done
segment() { jq -rn --arg text "$1" '$text | @uri'; }

# counts: lines and a total from objects of type id and count.
counts() { jq -r 'to_entries | (.[] | "\(.key): \(.value)"), "Total: \(map(.value) | add // 0)"'; }

case $command in
  list)
    if [ -z "$type" ]; then
      call GET "$api/content/orphans/" | jq 'map_values(.count)' | counts
    else
      units=$(call GET "$api/content/orphans/$(segment "$type")/")
      if [ -n "$details" ]; then
        jq -r '.[] | "\(._content_type_id) \(._id) \(._storage_path)"' <<<"$units"
      fi
      if [ -z "$details" ] || [ -n "$summary" ]; then
        jq 'group_by(._content_type_id) | map({(.[0]._content_type_id): length}) | add // {}' <<<"$units" | counts
      fi
    fi
    ;;
  remove)
    if [ -n "$all" ]; then
      [ -z "$type$unit" ] || usage "--all stands alone"
      report=$(call DELETE "$api/content/orphans/")
    elif [ -n "$unit" ]; then
      [ -n "$type" ] || usage "--unit-id needs --type"
      report=$(call DELETE "$api/content/orphans/$(segment "$type")/$(segment "$unit")/")
    elif [ -n "$type" ]; then
      report=$(call DELETE "$api/content/orphans/$(segment "$type")/")
    else
      usage "remove --all | --type TYPE [--unit-id ID]"
    fi
    for task in $(jq -r '.spawned_tasks[]._href' <<<"$report"); do follow "$task"; done
    ;;
  *) usage "no such command: $command" ;;
esac
