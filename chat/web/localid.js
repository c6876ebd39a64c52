/** Ids that this page gives: of messages and of requests that must not be done twice. */

/** 96 random bits in hex; `crypto.randomUUID` exists on https only. */
export function newLocalId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
