/** The key in an address: /#key=<key>. It is taken out at once, so no history or bookmark keeps it. */

export interface KeyLink {
  key: string;
  /** The address without the key; whatever else was behind the # stays. */
  rest: string;
}

export function readKeyLink(url: URL): KeyLink | null {
  const fragment = new URLSearchParams(url.hash.slice(1));
  const key = fragment.get("key");
  if (!key) return null;
  fragment.delete("key");
  const hash = fragment.toString();
  return { key, rest: `${url.pathname}${url.search}${hash && `#${hash}`}` };
}
