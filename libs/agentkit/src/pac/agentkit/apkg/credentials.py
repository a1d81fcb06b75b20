"""What looks like a secret, by the specification's three signs and by how well-known vendors make their keys."""

import re
from collections.abc import Iterator

PRIVATE_KEY = "-----BEGIN"
AWS_SECRET = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - the name, which is a sign
SK = "sk-"

# Rule, how it begins, what follows: the secret itself.
SHAPES = (
    (SK, "sk-", r"[\w-]{16,}"),
    ("pac_", "pac_", r"[A-Za-z0-9]{20,}"),
    ("AWS access key", "(?:AKIA|ASIA|ABIA|ACCA)", r"[A-Z0-9]{16}"),
    ("GitHub token", "gh[opsur]_", r"[A-Za-z0-9]{36,}"),
    ("GitHub token", "github_pat_", r"\w{36,}"),
    ("GitLab token", "gl(?:pat|dt|rt|ptt|agent|soat|cbt|imt|ft|oas)-", r"[\w.-]{20,}"),
    ("Slack token", r"xox[abeoprs]-", r"[A-Za-z0-9-]{20,}"),
    ("Slack token", r"xapp-\d-", r"[A-Za-z0-9-]{20,}"),
    ("Slack webhook", r"https://hooks\.slack\.com/(?:services|workflows|triggers)/", r"[\w/]{20,}"),
    ("Discord webhook", r"https://discord(?:app)?\.com/api/webhooks/\d+/", r"[\w-]{50,}"),
    ("Stripe key", "[rs]k_(?:live|test)_", r"[A-Za-z0-9]{16,}"),
    ("webhook secret", "whsec_", r"[A-Za-z0-9+/=]{24,}"),
    ("Google key", "AIza", r"[\w-]{35}"),
    ("Google secret", "GOCSPX-", r"[\w-]{28}"),
    ("Google token", r"ya29\.", r"[\w.-]{20,}"),
    ("SendGrid key", r"SG\.", r"[\w-]{16,32}\.[\w-]{16,64}"),
    ("Twilio key", "SK", r"[0-9a-f]{32}"),
    ("Mailgun key", "key-", r"[0-9a-f]{32}"),
    ("Mailchimp key", "", r"[0-9a-f]{32}-us\d{1,2}"),
    ("Brevo key", "xkeysib-", r"[0-9a-f]{64}-\w{16}"),
    ("npm token", "npm_", r"[A-Za-z0-9]{36}"),
    ("PyPI token", "pypi-", r"[\w-]{50,}"),
    ("Docker token", "dckr_(?:pat|oat)_", r"[\w-]{27,}"),
    ("Hugging Face token", "hf_", r"[A-Za-z0-9]{30,}"),
    ("Groq key", "gsk_", r"[A-Za-z0-9]{40,}"),
    ("xAI key", "xai-", r"[A-Za-z0-9]{60,}"),
    ("Perplexity key", "pplx-", r"[A-Za-z0-9]{40,}"),
    ("Replicate token", "r8_", r"[A-Za-z0-9]{37,}"),
    ("Tavily key", "tvly-", r"[\w-]{20,}"),
    ("LangSmith key", "lsv2_(?:pt|sk)_", r"\w{32,}"),
    ("Pinecone key", "pcsk_", r"\w{40,}"),
    ("Supabase key", "(?:sbp_|sb_secret_)", r"[\w-]{20,}"),
    ("Databricks token", "dapi", r"[0-9a-f]{32}"),
    ("DigitalOcean token", "do[oprt]_v1_", r"[0-9a-f]{64}"),
    ("Shopify token", "shp(?:at|ca|pa|ss)_", r"[0-9a-fA-F]{32}"),
    ("Telegram token", r"\d{8,10}:", r"AA[\w-]{33}"),
    ("Discord token", "", r"[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}"),
    ("Linear key", "lin_api_", r"[A-Za-z0-9]{32,}"),
    ("Notion token", "(?:ntn_|secret_)", r"[A-Za-z0-9]{43,}"),
    ("Airtable token", "pat", r"[A-Za-z0-9]{14}\.[0-9a-f]{64}"),
    ("Vault token", r"hv[bs]\.", r"[\w-]{24,}"),
    ("Sentry token", "sntry[su]_", r"[\w+/=-]{30,}"),
    ("New Relic key", "NRAK-", r"[A-Z0-9]{27}"),
    ("Grafana token", "gl(?:sa|c)_", r"[\w+/=]{32,}"),
    ("Postman key", "PMAK-", r"[0-9a-f]{24}-[0-9a-f]{34}"),
    ("Figma token", "figd_", r"[\w-]{40}"),
    ("Atlassian token", "ATATT3", r"[\w=-]{50,}"),
    ("Doppler token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.", r"[\w.-]{40,}"),
    ("PlanetScale token", "pscale_(?:tkn|oauth|pw)_", r"[\w.-]{32,}"),
    ("Azure key", "(?:AccountKey|SharedAccessKey)=", r"[A-Za-z0-9+/]{43,86}=="),
    ("Azure key", "(?:AccountKey|SharedAccessKey)=", r"[A-Za-z0-9+/]{43}="),
    ("age key", "AGE-SECRET-KEY-1", r"[A-Z0-9]{58}"),
    ("web token", "eyJ", r"[\w-]{10,1000}\.eyJ[\w-]{10,4000}\.[\w-]{10,1000}"),
    ("password in an address", r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s/:@]{0,200}:", r"[^\s/@]{1,500}(?=@)"),
)
SHORTEST = 8  # a://:b@c
PATTERNS = tuple(
    (rule, re.compile(rf"(?<![A-Za-z0-9]){prefix}(?P<secret>{secret})(?![A-Za-z0-9])"))
    for rule, prefix, secret in SHAPES
)
# Vendors without a sign of their own: a long random word under a name that promises one.
TELLING_NAME = re.compile(
    r".*(?:API_?KEY|ACCESS_?KEY|SECRET(?:_?KEY)?|(?:AUTH|SIGNING|ENCRYPTION|PRIVATE)_?KEY|TOKEN|PASSWORD)"
)
RANDOM_WORD = re.compile(
    r"(?=[^\d]*\d)(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9+/]{20,}={0,2}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
NAMED_AWS_SECRET = re.compile(rf"{AWS_SECRET}[\"']?\s*[=:]\s*[\"']?(?P<secret>[^\s\"',}}]+)", re.IGNORECASE)

WORDS = (
    "your|my|our|change|replace|insert|enter|put|add|set|fill|paste|provide|todo|tbd|fixme|placeholder|example|dummy|fake"
    "|sample|mock|redacted"
)
WHOLE_WORDS = "none|null|nil|undefined|hidden|secret|token|key|password|test"  # sk-None-… and sk-test-… are real
VENDOR_WORDS = (
    r"sk|pk|rk|pac|proj|svcacct|admin|ant|api\d*|or|v1|live|gh[opsur]|github|pat|glpat|xox[a-z]|hf|gsk|aws|openai"
)
PLACEHOLDER = re.compile(
    rf"(?:(?:{VENDOR_WORDS})[-_ ]){{0,4}}(?:"
    rf"(?:{WORDS})(?:[-_ .].*|me|it)?|{WHOLE_WORDS}"  # your-key-here, changeme
    r"|<.*>|\[[^\"']*\]|\([^\"']*\)"  # <your key>
    r"|\$\{.*\}|\$\w+|\$\(.*\)|\{\{.*\}\}|\{\w+\}|%\w+%|@\w+@|__\w+__|op://.*"  # ${VAR}: somebody else fills it in
    r"|.*[-_ ](?:here|placeholder|example)|[x*.\-_0#?]{3,}|x{4,}.*"
    r")?",
    re.IGNORECASE | re.DOTALL,
)
BROKEN = re.compile(r"[\s\"']")
COMMON_PASSWORDS = frozenset(
    {
        "password",
        "pass",
        "passwd",
        "pwd",
        "secret",
        "postgres",
        "root",
        "admin",
        "guest",
        "user",
        "username",
        "test",
        "mysql",
    }
)
# The secrets that vendors' documentation shows: everybody has them.
DOCUMENTED = re.compile(
    r".*EXAMPLE(?:KEY)?|4eC39HqLyjWDarjtT1zdp7dc|BQokikJOvBiI2HlWgH4olfQ2|16C7e42F292c6912E7710c838347Ae178B4a"
    r"|AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw|.*\.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
)


def secret_rule(name: str, value: str) -> str | None:
    """Which rule says that this is a secret; None for harmless values and placeholders."""
    return next(_rules(name.upper(), value.strip()), None)


def _rules(name: str, value: str) -> Iterator[str]:
    if PRIVATE_KEY in value:
        yield PRIVATE_KEY
    if name.endswith(AWS_SECRET) and not is_placeholder(value):
        yield AWS_SECRET
    if (found := NAMED_AWS_SECRET.search(value)) and not is_placeholder(found["secret"]):
        yield AWS_SECRET
    if value.startswith(SK) and not is_placeholder(value):
        yield SK
    for rule, pattern in PATTERNS if len(value) >= SHORTEST else ():
        if any(not is_placeholder(found["secret"]) for found in pattern.finditer(value)):
            yield rule
    if TELLING_NAME.fullmatch(name) and RANDOM_WORD.fullmatch(value) and not is_placeholder(value):
        yield "random word"


def is_placeholder(text: str) -> bool:
    """Somebody is told to put a value there; or it is one that everybody knows."""
    return (
        PLACEHOLDER.fullmatch(text) is not None
        or DOCUMENTED.fullmatch(text) is not None
        or text.lower() in COMMON_PASSWORDS
        or (("..." in text or "…" in text) and not BROKEN.search(text))
        or len(set(text.lower()) - set("-_. ")) <= 1
    )
