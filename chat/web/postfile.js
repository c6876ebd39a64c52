/** Sending a file: with XMLHttpRequest, for `fetch` does not tell how much of a body is gone. */

import { judged, unreachable } from './http.js';

/** A line on which nothing moves for so long (ms) is dead; the server looks through a large picture in less. */
const STALLED = 60000;

/**
 * Post a file as the form field `media` to `/api/v1` + path. `onProgress(share)` is called with 0 to 1 as it goes.
 * Returns the answer's JSON; throws ApiError, `unreachable` also when `signal` ended it.
 */
export function postFile(path, file, { token, signal, onProgress }) {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(unreachable());
    const request = new XMLHttpRequest();
    const giveUp = () => request.abort();
    const watch = watcher(giveUp);
    request.open('POST', `/api/v1${path}`);
    request.setRequestHeader('Authorization', `Bearer ${token}`);
    request.upload.onprogress = ({ loaded, total }) => {
      watch.moved();
      onProgress(total ? loaded / total : 1);
    };
    request.onload = () => resolve(answerOf(request));
    request.onerror = request.onabort = () => reject(unreachable());
    request.onloadend = () => {
      watch.over();
      signal.removeEventListener('abort', giveUp);
    };
    signal.addEventListener('abort', giveUp, { once: true });
    watch.moved();
    request.send(formOf(file));
  });
}

function formOf(file) {
  const form = new FormData();
  form.append('media', file, file.name || 'file');
  return form;
}

async function answerOf(request) {
  const { status, statusText, responseText } = request;
  return judged({ status, statusText, retryAfter: request.getResponseHeader('Retry-After') }, responseText);
}

/** Calls `onStalled()` when `moved()` was not called for too long. */
function watcher(onStalled) {
  let timer;
  const over = () => clearTimeout(timer);
  const moved = () => {
    over();
    timer = setTimeout(onStalled, STALLED);
  };
  return { moved, over };
}
