"""Lines of .env files, each labelled by hand: is there a secret in it, and of which kind.

Values are made from shapes by a fixed seed: `{a36}` is 36 random letters and digits, `h` hex, `u` capitals and digits,
`w` as in base64url, `b` as in base64, `d` digits, `l` small letters. So no line here is a key that anybody ever had.
"""

import random
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass

ALPHABETS = {
    "a": string.ascii_letters + string.digits,
    "h": "0123456789abcdef",
    "u": string.ascii_uppercase + string.digits,
    "w": string.ascii_letters + string.digits + "_-",
    "b": string.ascii_letters + string.digits + "+/",
    "d": string.digits,
    "l": string.ascii_lowercase,
}
SHAPE = re.compile(r"\{([ahuwbdl])(\d+)\}")
SK, AWS, BEGIN, VENDOR, NONE = "sk-", "AWS_SECRET_ACCESS_KEY", "-----BEGIN", "vendor", ""


@dataclass(frozen=True)
class Labelled:
    """`kind` is the sign of the specification, "vendor", or "" for a line without a secret."""

    kind: str
    line: str


def _spelled(template: str, chance: random.Random) -> str:
    def one(shape: re.Match[str]) -> str:
        return "".join(chance.choice(ALPHABETS[shape[1]]) for _ in range(int(shape[2])))

    return SHAPE.sub(one, template)


LINES = {
    SK: r"""
OPENAI_API_KEY=sk-{a48}
OPENAI_API_KEY=sk-proj-{w156}
OPENAI_API_KEY=sk-svcacct-{w100}
OPENAI_API_KEY=sk-admin-{w90}
OPENAI_API_KEY="sk-{a48}"
OPENAI_API_KEY='sk-proj-{w74}T3BlbkFJ{w74}'
OPENAI_API_KEY = sk-{a48}
export OPENAI_API_KEY=sk-{a48}
OPENAI_API_KEY=sk-{a48} # mine, do not share
openai_api_key=sk-{a48}
OPENAI_KEY=sk-None-{a20}T3BlbkFJ{a20}
ANTHROPIC_API_KEY=sk-ant-api03-{w93}AA
ANTHROPIC_API_KEY="sk-ant-api03-{w93}AA"
ANTHROPIC_ADMIN_KEY=sk-ant-admin01-{w93}AA
CLAUDE_KEY=sk-ant-oat01-{w80}
OPENROUTER_API_KEY=sk-or-v1-{h64}
DEEPSEEK_API_KEY=sk-{h32}
STABILITY_API_KEY=sk-{a48}
MOONSHOT_API_KEY=sk-{a48}
DASHSCOPE_API_KEY=sk-{h32}
LITELLM_MASTER_KEY=sk-1234
LITELLM_KEY=sk-{a22}
LANGFUSE_SECRET_KEY=sk-lf-{h8}-{h4}-{h4}-{h4}-{h12}
OTHER=sk-{a20}
A=sk-{a12}
SOMETHING=sk-live-{d10}
AUTH_HEADER="Authorization: Bearer sk-{a48}"
AUTH="Bearer sk-proj-{w80}"
MODELS={"gpt": {"key": "sk-{a48}"}}
KEYS=["sk-{a48}", "sk-{a48}"]
KEYS=sk-{a48},sk-{a48}
PROXY=https://proxy.example.com/v1?key=sk-{a48}
SETTINGS='{"api_key": "sk-proj-{w90}"}'
FALLBACK_KEYS=your-key-here,sk-{a48}
NOTE="my key is sk-{a48}"
OPENAI_API_KEY=sk-test-{a40}
OPENAI_API_KEY=  sk-{a48}
OPENAI_API_KEY="sk-{a48}
""",
    AWS: r"""
AWS_SECRET_ACCESS_KEY={b40}
AWS_SECRET_ACCESS_KEY="{b40}"
AWS_SECRET_ACCESS_KEY='{b40}'
AWS_SECRET_ACCESS_KEY={a40}
AWS_SECRET_ACCESS_KEY = {b40}
export AWS_SECRET_ACCESS_KEY={b40}
aws_secret_access_key={b40}
AWS_SECRET_ACCESS_KEY={b40} # production
PROD_AWS_SECRET_ACCESS_KEY={b40}
BACKUP_AWS_SECRET_ACCESS_KEY={b40}
AWS_SECRET_ACCESS_KEY=minioadmin123
AWS_SECRET_ACCESS_KEY=hunter2
AWS_SECRET_ACCESS_KEY=s3cr3t-of-minio
CREDENTIALS={"AWS_SECRET_ACCESS_KEY": "{b40}"}
INIT="export AWS_SECRET_ACCESS_KEY={b40}"
DOCKER_ARGS="-e AWS_REGION=eu-west-1 -e AWS_SECRET_ACCESS_KEY={b40}"
TASK_ENV=AWS_SECRET_ACCESS_KEY={b40};AWS_REGION=us-east-1
AWS_CONFIG="aws_secret_access_key = {b40}"
""",
    BEGIN: r"""
PRIVATE_KEY="-----BEGIN PRIVATE KEY-----\n{b64}\n{b64}\n-----END PRIVATE KEY-----"
PRIVATE_KEY="-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA{b48}\n-----END RSA PRIVATE KEY-----"
EC_KEY='-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE{b56}\n-----END EC PRIVATE KEY-----'
SSH_KEY="-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r{b52}\n-----END OPENSSH PRIVATE KEY-----"
PGP="-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{b64}\n-----END PGP PRIVATE KEY BLOCK-----"
ENCRYPTED="-----BEGIN ENCRYPTED PRIVATE KEY-----\n{b64}\n-----END ENCRYPTED PRIVATE KEY-----"
KEY=-----BEGIN RSA PRIVATE KEY-----
KEY=-----BEGIN PRIVATE KEY-----{b64}-----END PRIVATE KEY-----
GITHUB_APP_KEY=-----BEGIN RSA PRIVATE KEY-----\n{b64}
GOOGLE={"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\n{b64}\n-----END PRIVATE KEY-----\n"}
FIREBASE_PRIVATE_KEY="-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN{b52}\n-----END PRIVATE KEY-----\n"
DSA="-----BEGIN DSA PRIVATE KEY-----\n{b64}\n-----END DSA PRIVATE KEY-----"
BUNDLE="-----BEGIN CERTIFICATE-----\n{b64}\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n{b64}"
SNOWFLAKE_KEY='-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIFHDBOBgkqhkiG{b48}\n-----END ENCRYPTED PRIVATE KEY-----'
""",
    VENDOR: r"""
AWS_ACCESS_KEY_ID=AKIA{u16}
AWS_ACCESS_KEY_ID=ASIA{u16}
GITHUB_TOKEN=ghp_{a36}
GITHUB_TOKEN="gho_{a36}"
GH_TOKEN=ghs_{a36}
GH_PAT=github_pat_{a22}_{a59}
GITLAB_TOKEN=glpat-{w20}
CI_TOKEN=gldt-{w20}
SLACK_BOT_TOKEN=xoxb-{d12}-{d12}-{a24}
SLACK_USER_TOKEN=xoxp-{d12}-{d12}-{d12}-{h32}
SLACK_APP_TOKEN=xapp-1-A{u10}-{d13}-{h64}
SLACK_WEBHOOK=https://hooks.slack.com/services/T{u8}/B{u10}/{a24}
DISCORD_WEBHOOK=https://discord.com/api/webhooks/{d18}/{w68}
DISCORD_TOKEN=MT{w24}.{w6}.{w38}
TELEGRAM_BOT_TOKEN={d10}:AA{w33}
STRIPE_SECRET_KEY=sk_live_{a24}
STRIPE_SECRET_KEY=sk_test_{a24}
STRIPE_KEY=rk_live_{a99}
STRIPE_WEBHOOK_SECRET=whsec_{a32}
GOOGLE_API_KEY=AIza{w35}
GEMINI_API_KEY="AIza{w35}"
GOOGLE_CLIENT_SECRET=GOCSPX-{w28}
GOOGLE_TOKEN=ya29.{w100}
SENDGRID_API_KEY=SG.{w22}.{w43}
TWILIO_API_KEY=SK{h32}
TWILIO_AUTH_TOKEN={h32}
MAILGUN_API_KEY=key-{h32}
MAILCHIMP_API_KEY={h32}-us14
BREVO_API_KEY=xkeysib-{h64}-{a16}
NPM_TOKEN=npm_{a36}
PYPI_TOKEN=pypi-AgEIcHlwaS5vcmc{w80}
DOCKER_PASSWORD=dckr_pat_{w27}
HF_TOKEN=hf_{a34}
HUGGINGFACEHUB_API_TOKEN=hf_{a34}
GROQ_API_KEY=gsk_{a52}
XAI_API_KEY=xai-{a80}
PERPLEXITY_API_KEY=pplx-{a48}
REPLICATE_API_TOKEN=r8_{a37}
TAVILY_API_KEY=tvly-{a32}
LANGSMITH_API_KEY=lsv2_pt_{h32}_{h10}
PINECONE_API_KEY=pcsk_{a60}
PINECONE_API_KEY={h8}-{h4}-{h4}-{h4}-{h12}
SUPABASE_SERVICE_KEY=eyJ{w33}.eyJ{w120}.{w43}
SUPABASE_ACCESS_TOKEN=sbp_{h40}
DATABRICKS_TOKEN=dapi{h32}
DO_TOKEN=dop_v1_{h64}
SHOPIFY_TOKEN=shpat_{h32}
LINEAR_API_KEY=lin_api_{a40}
NOTION_TOKEN=ntn_{a46}
NOTION_TOKEN=secret_{a43}
AIRTABLE_TOKEN=pat{a14}.{h64}
VAULT_TOKEN=hvs.{w90}
SENTRY_AUTH_TOKEN=sntrys_{w120}
NEW_RELIC_KEY=NRAK-{u27}
GRAFANA_TOKEN=glsa_{a32}_{h8}
POSTMAN_KEY=PMAK-{h24}-{h34}
FIGMA_TOKEN=figd_{w40}
JIRA_TOKEN=ATATT3{w180}
DOPPLER_TOKEN=dp.pt.{a43}
AZURE_STORAGE=DefaultEndpointsProtocol=https;AccountName=store;AccountKey={b86}==;EndpointSuffix=core.windows.net
AZURE_OPENAI_API_KEY={h32}
COHERE_API_KEY={a40}
MISTRAL_API_KEY={a32}
ELEVENLABS_API_KEY={h32}
AGE_KEY=AGE-SECRET-KEY-1{u58}
DATABASE_URL=postgres://app:{a24}@db.internal:5432/app
DATABASE_URL="postgresql+psycopg://app:p{a10}!@db/app"
REDIS_URL=redis://:{a32}@cache:6379/0
MONGO_URI=mongodb+srv://app:{a16}@cluster0.abcde.mongodb.net/app
AMQP_URL=amqps://worker:{a16}@queue/vhost
PAC_API_KEY=pac_{a38}
SESSION_SECRET={h64}
DJANGO_SECRET_KEY={a50}
JWT_SECRET={b44}
ENCRYPTION_KEY={b43}=
DB_PASSWORD={a24}
""",
    NONE: r"""
OPENAI_API_KEY=
OPENAI_API_KEY=your-key-here
OPENAI_API_KEY=your_openai_api_key
OPENAI_API_KEY=your-openai-api-key-here
OPENAI_API_KEY=YOUR_OPENAI_API_KEY
OPENAI_API_KEY="<your key>"
OPENAI_API_KEY=<OPENAI_API_KEY>
OPENAI_API_KEY=sk-...
OPENAI_API_KEY=sk-proj-...
OPENAI_API_KEY=sk-xxxx
OPENAI_API_KEY=sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
OPENAI_API_KEY=sk-XXXXXXXX-XXXXXXXX
OPENAI_API_KEY=sk-your-key-here
OPENAI_API_KEY=sk-your-openai-api-key-goes-here
OPENAI_API_KEY=sk-proj-your-key-here
OPENAI_API_KEY=sk-<your-key>
OPENAI_API_KEY=sk-placeholder
OPENAI_API_KEY=sk-************
OPENAI_API_KEY=changeme
OPENAI_API_KEY=change-me
OPENAI_API_KEY=CHANGE_ME_BEFORE_USE
OPENAI_API_KEY=replace-with-your-key
OPENAI_API_KEY=REPLACE_ME
OPENAI_API_KEY=insert-key-here
OPENAI_API_KEY=put_your_key_here
OPENAI_API_KEY=${OPENAI_API_KEY}
OPENAI_API_KEY=$OPENAI_API_KEY
OPENAI_API_KEY=${OPENAI_API_KEY:-none}
OPENAI_API_KEY={{ openai_api_key }}
OPENAI_API_KEY=%OPENAI_API_KEY%
OPENAI_API_KEY=__OPENAI_API_KEY__
OPENAI_API_KEY=op://vault/openai/key
OPENAI_API_KEY=xxx
OPENAI_API_KEY=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
OPENAI_API_KEY=***
OPENAI_API_KEY=...
OPENAI_API_KEY=TODO
OPENAI_API_KEY=none
OPENAI_API_KEY=null
OPENAI_API_KEY=dummy
OPENAI_API_KEY=fake-key
OPENAI_API_KEY=test
OPENAI_API_KEY=example
OPENAI_API_KEY=secret
ANTHROPIC_API_KEY=sk-ant-...
ANTHROPIC_API_KEY=sk-ant-api03-your-key-here
ANTHROPIC_API_KEY=sk-ant-xxxxxxxxxxxxxxxx
ANTHROPIC_API_KEY=<set at deploy time>
AWS_SECRET_ACCESS_KEY=
AWS_SECRET_ACCESS_KEY=your-secret-here
AWS_SECRET_ACCESS_KEY=your_secret_access_key
AWS_SECRET_ACCESS_KEY=<secret>
AWS_SECRET_ACCESS_KEY=${AWS_SECRET_ACCESS_KEY}
AWS_SECRET_ACCESS_KEY=changeme
AWS_SECRET_ACCESS_KEY=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY
AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE
AWS_ACCESS_KEY_ID=your-access-key-id
AWS_ACCESS_KEY_ID=AKIAXXXXXXXXXXXXXXXX
AWS_REGION=us-east-1
AWS_PROFILE=default
GITHUB_TOKEN=ghp_your_token_here
GITHUB_TOKEN=ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
GITHUB_TOKEN=<token>
SLACK_BOT_TOKEN=xoxb-your-token-here
SLACK_BOT_TOKEN=xoxb-...
SLACK_WEBHOOK=https://hooks.slack.com/services/XXX/YYY/ZZZ
SLACK_CHANNEL=#general
STRIPE_SECRET_KEY=sk_test_...
STRIPE_SECRET_KEY=sk_test_your_key_here
STRIPE_PUBLISHABLE_KEY=pk_test_{a24}
GOOGLE_API_KEY=AIza...
GOOGLE_API_KEY=your-google-api-key
HF_TOKEN=hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
HF_TOKEN=hf_...
PAC_API_KEY=pac_your_api_key_here
PAC_API_KEY=pac_xxxxxxxxxxxxxxxxxxxx
DATABASE_URL=sqlite:///data.db
DATABASE_URL=postgres://user:password@db:5432/app
DATABASE_URL=postgres://postgres:postgres@db/postgres
DATABASE_URL=postgresql://user:${DB_PASSWORD}@db/app
DATABASE_URL=mysql://root:root@mysql/app
DATABASE_URL=postgres://db/app
REDIS_URL=redis://cache:6379/0
DB_PASSWORD=password
DB_PASSWORD=postgres
DB_PASSWORD=<password>
JWT_SECRET=change-this-in-production
SESSION_SECRET=your-session-secret
SECRET_NAME=my/app/secrets
AWS_SECRETS_ARN=arn:aws:secretsmanager:us-east-1:123456789012:secret:app-AbCdEf
TOKEN_URL=https://auth.example.com/oauth/token
TOKEN_LIMIT=4096
MAX_TOKENS=8000
MAX_TOKEN=200000
TOKENIZER=cl100k_base
API_KEY_HEADER=X-API-Key
KEY_PREFIX=cache:v2:
CACHE_KEY=user-session-cache-v2
PRIMARY_KEY=id
SORT_KEY=created_at
PUBLIC_KEY_FILE=keys/public.pem
PRIVATE_KEY_FILE=keys/private.pem
TASK=task-list
TASK_QUEUE=task-queue-for-emails
DISK=disk-encrypted-volume-name
LOCALE=sk-SK
LANGUAGES=cs-CZ,sk-SK,pl-PL
RISK=risk-assessment-model-v2
MODEL=gpt-4o-mini-2024-07-18
MODEL=claude-sonnet-4-20250514
MODEL=meta-llama/Llama-3.1-8B-Instruct
EMBEDDING_MODEL=text-embedding-3-small
MODEL_SHA=sha256:{h64}
GIT_COMMIT={h40}
BUILD_ID={h8}-{h4}-{h4}-{h4}-{h12}
PROJECT_ID={h8}-{h4}-{h4}-{h4}-{h12}
ORG_ID=org-{a24}
ASSISTANT_ID=asst_{a24}
SENTRY_DSN=https://{h32}@o123456.ingest.sentry.io/1234567
TWILIO_ACCOUNT_SID=AC{h32}
SLACK_TEAM=T{u10}
STRIPE_PRICE=price_{a24}
GOOGLE_CLIENT_ID={d12}-{l32}.apps.googleusercontent.com
GOOGLE_ANALYTICS=G-{u10}
RECAPTCHA_SITE=6L{w38}
LOG_LEVEL=debug
DEBUG=true
ENVIRONMENT=production
PORT=8080
HOST=0.0.0.0
WORKERS=4
TIMEOUT_SECONDS=30
TEMPERATURE=0.7
RATE=1e-3
TZ=Europe/Zurich
LANG=en_US.UTF-8
NAME="Echo Agent"
DESCRIPTION="Answers questions about invoices, in three languages"
PROMPT="You are a helpful agent. Never show a key such as sk-... to anybody."
GREETING='Hello, what can I do for you?'
BASE_URL=https://api.example.com/v1
WEBHOOK_URL=https://example.com/hooks/incoming
CORS_ORIGINS=https://app.example.com,https://admin.example.com
EMAIL=someone@example.com
SUPPORT_PHONE=+41441234567
COLOR=#ff8800
DATE=2026-11-25
CRON="*/5 * * * *"
REGEX=^[a-z0-9-]+$
FEATURES=["search", "mail", "calendar"]
SETTINGS={"theme": "dark", "retries": 3}
WORKDIR=./data
TMP=/tmp/agent
EMPTY=""
QUOTED="a # b"
VERSION=1.2.3
PYTHONPATH=src
S3_BUCKET=my-bucket-for-agents
QUEUE=arn:aws:sqs:eu-central-1:123456789012:jobs
ICON=data:image/png;base64,iVBORw0KGgo=
""",
}


def env_lines() -> Iterator[Labelled]:
    chance = random.Random(20261125)  # noqa: S311 - the same lines each time
    for kind, text in LINES.items():
        for template in text.strip("\n").splitlines():
            yield Labelled(kind, _spelled(template, chance))
