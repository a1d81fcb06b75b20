// The `Cookie` headers that Supabase's own libraries write for the sessions of sessions.json; to standard output.
import { readFile } from "node:fs/promises";
import { CookieAuthStorageAdapter } from "@supabase/auth-helpers-shared";
import { createServerClient, serializeCookieHeader } from "@supabase/ssr";

const { project, sessions } = JSON.parse(await readFile(process.argv[2], "utf8"));
const key = `sb-${new URL(project).hostname.split(".")[0]}-auth-token`;

/** What a browser sends back for these: name and value as they were set, without their attributes. */
const header = (cookies) =>
  [...cookies]
    .filter(([, value]) => value)
    .map(([name, value]) => serializeCookieHeader(name, value, {}))
    .join("; ");

const answerOf = ({ token, note, times, expires_at }) => ({
  access_token: token,
  token_type: "bearer",
  expires_in: 3600,
  expires_at,
  refresh_token: "refresh-token-of-the-tests",
  user: {
    id: "6b1d3f5a-7c9e-4b02-8d46-e8f0a2c4b6d8",
    aud: "authenticated",
    role: "authenticated",
    email: "ada@example.org",
    app_metadata: { provider: "email", providers: ["email"] },
    user_metadata: { full_name: "Ada Lovelace", note: note.repeat(times) },
    created_at: "2026-11-23T12:00:00Z",
  },
});

/** Signs in at a Supabase that answers with this session, so that the library stores it in its own way. */
async function signedIn(session, { encode, cookieEncoding }) {
  const jar = new Map();
  const client = createServerClient(project, "publishable-key", {
    cookieEncoding,
    realtime: { transport: class {} }, // older nodes have no WebSocket, and nothing here needs one
    cookies: {
      encode,
      getAll: () => [...jar].map(([name, value]) => ({ name, value })),
      setAll: (cookies) => cookies.forEach(({ name, value }) => jar.set(name, value)),
    },
    global: {
      fetch: async () =>
        new Response(JSON.stringify(answerOf(session)), { headers: { "Content-Type": "application/json" } }),
    },
  });
  const { error } = await client.auth.signInWithPassword({ email: "ada@example.org", password: "x" });
  if (error) throw error;
  return header(jar);
}

class Jar extends CookieAuthStorageAdapter {
  cookies = new Map();
  getCookie(name) {
    return this.cookies.get(name);
  }
  setCookie(name, value) {
    this.cookies.set(name, value);
  }
  deleteCookie(name) {
    this.cookies.delete(name);
  }
}

async function byHelpers(session) {
  const jar = new Jar();
  await jar.setItem(key, JSON.stringify(answerOf(session)));
  return header(jar.cookies);
}

const writers = {
  base64url: (session) => signedIn(session, { cookieEncoding: "base64url" }),
  raw: (session) => signedIn(session, { cookieEncoding: "raw" }),
  "tokens-only": (session) => signedIn(session, { encode: "tokens-only" }),
  array: byHelpers,
};

const cookies = {};
for (const [name, session] of Object.entries(sessions)) {
  cookies[name] = await writers[session.form](session);
}
process.stdout.write(`${JSON.stringify(cookies, null, 2)}\n`);
