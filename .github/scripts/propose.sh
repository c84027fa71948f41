#!/usr/bin/env bash
# propose.sh FOLDER BASE: a pull request against BASE with what a training left in FOLDER: dvc.lock, the
# metrics, and the model cards as files, so that the review shows what changed in each.
set -euo pipefail
from=$1 base=$2 branch="retrain/$2"
git switch --quiet --force-create "$branch"
cp "$from/dvc.lock" dvc.lock
mkdir -p reports/metrics reports/cards
cp "$from"/reports/metrics/*.json reports/metrics/
cp "$from"/build/proposal/cards/*.md reports/cards/
git add dvc.lock reports/metrics
git add --force reports/cards
if git diff --cached --quiet; then
  echo "nothing to propose"
  exit 0
fi
git -c user.name=github-actions -c user.email=github-actions@users.noreply.github.com \
  commit --quiet --message "Models retrained"
git push --quiet --force origin "$branch"
body=$from/build/proposal/proposal.md
open=$(gh pr list --head "$branch" --base "$base" --state open --json number --jq '.[0].number // empty')
if [ -n "$open" ]; then
  gh pr edit "$open" --body-file "$body"
else
  gh pr create --head "$branch" --base "$base" --title "Models retrained" --body-file "$body"
fi
