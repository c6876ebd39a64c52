/** One HTTP exchange with the server: JSON both ways, a time limit, and one kind of error. */

/** A person waits no longer than this for an answer (ms). */
const ANSWER_WITHIN = 20000;

const PASSING = new Set(['internal', 'overloaded', 'unavailable', 'rate_limited', 'too_many_sessions', 'going_away']);

/** The server said no, or nothing (`status` 0, code `unreachable`). Codes are the server's. */
export class ApiError extends Error {
  constructor({ code, message, details, retryAfter }, status = 400) {
    super(message || code);
    Object.assign(this, { name: 'ApiError', code, details, retryAfter, status });
  }

  /** Whether the same request may succeed later without being changed. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500 || PASSING.has(this.code);
  }
}

export const unreachable = (message = '') => new ApiError({ code: 'unreachable', message }, 0);

/**
 * Ask `/api/v1` + path. Options: `body` (sent as JSON), `token`, `once` (an Idempotency-Key: a repeated request with it
 * is answered, not done again), `session` (on whose behalf), `onHeaders` (gets the answer's), `signal`, `within` (ms).
 * Returns the answer's JSON, or `null` where it has none; throws ApiError.
 */
export async function exchange(method, path, options = {}) {
  const { onHeaders, signal, within = ANSWER_WITHIN } = options;
  const limit = new AbortController();
  const giveUp = () => limit.abort();
  const timer = setTimeout(giveUp, within);
  signal?.addEventListener('abort', giveUp, { once: true });
  try {
    signal?.throwIfAborted();
    const response = await fetch(`/api/v1${path}`, { method, signal: limit.signal, ...contents(options) });
    onHeaders?.(response.headers);
    return await answerOf(response);
  } catch (error) {
    throw error instanceof ApiError ? error : unreachable(error.message);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', giveUp);
  }
}

function contents({ body, token, once, session }) {
  const headers = once ? { 'Idempotency-Key': once } : {};
  if (session) headers['Chat-Session'] = session;
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body === undefined) return { headers, cache: 'no-store' };
  headers['Content-Type'] = 'application/json';
  return { headers, cache: 'no-store', body: JSON.stringify(body) };
}

async function answerOf(response) {
  const { status, statusText, headers } = response;
  return judged({ status, statusText, retryAfter: headers.get('Retry-After') }, await response.text());
}

/** The JSON of an answer, or the ApiError that it is: thrown. */
export function judged({ status, statusText, retryAfter }, text) {
  const answer = parse(text);
  if (status >= 200 && status < 300) return answer;
  const error = answer?.error ?? { code: `http_${status}`, message: statusText };
  const seconds = Number(retryAfter);
  throw new ApiError({ retryAfter: seconds > 0 ? seconds : undefined, ...error }, status);
}

/** A proxy's error page is not JSON; its status says enough. */
function parse(text) {
  if (!text) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
