#!/usr/bin/env bash
# alert.sh TITLE TEXT: open an issue, or add to the one that is open under that title.
set -euo pipefail
title=$1 text=$2
gh label create retrain --force --description "What the weekly training has to say" >/dev/null
number=$(gh issue list --label retrain --state open --limit 100 --json number,title \
  --jq "[.[] | select(.title == \"$title\")][0].number // empty")
if [ -n "$number" ]; then
  gh issue comment "$number" --body "$text"
else
  gh issue create --label retrain --title "$title" --body "$text"
fi
