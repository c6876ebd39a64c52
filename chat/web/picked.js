/** A file that somebody has chosen, dropped or pasted, with what this browser can tell of it. */

/** Formats that the server takes for pictures: what it keeps as a file (AVIF, say) is a file here, too. */
const SHOWN = new Set(['image/jpeg', 'image/png', 'image/gif', 'image/webp']);

/**
 * `{file, preview, width, height}`: `preview` is an address for an `<img>`, null for what is no picture. Whoever takes
 * it gives the address back (`URL.revokeObjectURL`).
 */
export async function look(file) {
  if (!SHOWN.has(file.type)) return { file, preview: null, width: 0, height: 0 };
  const preview = URL.createObjectURL(file);
  const size = await sizeOf(preview);
  if (size) return { file, preview, ...size };
  URL.revokeObjectURL(preview);
  return { file, preview: null, width: 0, height: 0 };
}

/** The size of a picture as it will be shown (turned as the camera was), or null for a broken one. */
function sizeOf(address) {
  return new Promise((resolve) => {
    const image = new Image();
    image.onload = () => resolve({ width: image.naturalWidth, height: image.naturalHeight });
    image.onerror = () => resolve(null);
    image.src = address;
  });
}

/** The files of a drop or a paste; folders are none. */
export function filesOf({ items, files }) {
  const entries = [...(items ?? [])].filter(({ kind }) => kind === 'file');
  if (!entries.length) return [...(files ?? [])];
  return entries
    .filter((item) => !item.webkitGetAsEntry?.()?.isDirectory)
    .map((item) => item.getAsFile())
    .filter(Boolean);
}
