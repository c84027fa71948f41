#!/usr/bin/env bash
# missed.sh WORKFLOW DAYS: alert if no run of the workflow has succeeded within so many days.
set -euo pipefail
workflow=$1 days=$2
last=$(gh run list --workflow "$workflow" --status success --limit 1 \
  --json createdAt --jq '.[0].createdAt // empty')
if [ -n "$last" ] && [ "$(date -d "$last" +%s)" -ge "$(date -d "$days days ago" +%s)" ]; then
  echo "the last run that succeeded began at $last"
  exit 0
fi
"$(dirname "$0")/alert.sh" "The weekly training did not run" \
  "No run of $workflow has succeeded for $days days; the last one: ${last:-never}. See docs/monitoring.md."
