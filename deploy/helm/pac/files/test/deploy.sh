# Deploys a small agent as a new account, and waits until it runs: PAC_GATEWAY_URL and PAC_ADMIN_KEY say where.
set -eu
test=$(dirname "$0")
folder=$(mktemp -d)
mkdir -p "$folder/agent/src"
cp "$test/agent.yaml" "$folder/agent/"
cp "$test/main.py" "$folder/agent/src/"
touch "$folder/agent/.env" "$folder/agent/requirements.txt"
opened=$(pac accounts create "helm test" --credits 100)
export $opened  # PAC_ACCOUNT_ID, PAC_APP_ID and PAC_API_KEY, none of them with a space
pac build "$folder/agent" -o "$folder/agent.apkg"
pac deploy "$folder/agent.apkg" --wait
