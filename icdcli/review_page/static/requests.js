// Requests to the server, and what can become of them.

/** The server refused; its message says why. */
export class Refused extends Error {
  constructor(message, status, body) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

/** No answer came; the request may have arrived or not. */
export class NoAnswer extends Error {}

const csrf = document.querySelector('meta[name="csrf-token"]');

async function answerOf(path, options) {
  let answer;
  let body;
  try {
    answer = await fetch(path, options);
    body = await answer.json();
  } catch (error) {
    // Also an answer that breaks off, or one of a proxy whose server is away, isn't JSON.
    throw new NoAnswer(error.message);
  }
  // The token of a session that has ended, or that has begun, replaces the one before.
  if (body?.csrf) csrf.content = body.csrf;
  if (answer.ok) return body;
  if (answer.status >= 500) throw new NoAnswer(body.message);
  throw new Refused(body.message ?? String(answer.status), answer.status, body);
}

export function getJson(path) {
  // As `fetch` does by itself, so that the answer that the page has preloaded is used.
  return answerOf(path);
}

export async function postJson(path, body) {
  const send = () =>
    answerOf(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf.content },
      body: JSON.stringify(body),
    });
  try {
    return await send();
  } catch (error) {
    if (error.body?.reason !== "csrf") throw error;
    // Another tab has signed in, or the browser has lost its cookie: ask for the token once.
    await getJson("/api/me");
    return send();
  }
}

/** Send a form as a browser does, but receive JSON. */
export function postForm(path, values) {
  return answerOf(path, {
    method: "POST",
    headers: { Accept: "application/json", "X-CSRF-Token": csrf.content },
    body: new URLSearchParams({ ...values, csrf_token: csrf.content }),
  });
}

/** Return a promise that is kept after some milliseconds. */
export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
