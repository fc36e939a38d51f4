/** Builds elements without a framework. Text always goes in as text, never as markup. */

type Child = Node | string | null;
type Props = Record<string, string | boolean | EventListener>;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child): child is Node | string => child !== null));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

const PATHS = {
  mic: "M12 15a3 3 0 0 0 3-3V6a3 3 0 0 0-6 0v6a3 3 0 0 0 3 3ZM6 11.500a6 6 0 0 0 12 0M12 17.500V21",
  micOff:
    "M9 9v3a3 3 0 0 0 4.700 2.450M15 11.500V6a3 3 0 0 0-5.800-1.100M6 11.500a6 6 0 0 0 9.300 5M18 11.500c0 .8-.15 1.550-.43 2.250M12 17.500V21M4 3l16 18",
  camera:
    "M4.500 7h9A1.500 1.500 0 0 1 15 8.500v7a1.500 1.500 0 0 1-1.500 1.500h-9A1.500 1.500 0 0 1 3 15.500v-7A1.500 1.500 0 0 1 4.500 7ZM15 11l6-3.500v9L15 13",
  cameraOff:
    "M8.500 7h5A1.500 1.500 0 0 1 15 8.500v5M15 15.500a1.500 1.500 0 0 1-1.500 1.500h-9A1.500 1.500 0 0 1 3 15.500v-7A1.500 1.500 0 0 1 4.500 7M15 11l6-3.500v9L15 13M4 3l16 18",
  end: "M4.500 14.600c-1-1-1.300-2.600-.4-3.700C6 8.700 8.900 7.600 12 7.600s6 1.100 7.900 3.300c.9 1.100.6 2.700-.4 3.700l-.5.5c-.6.6-1.500.7-2.200.2l-1.700-1.200c-.5-.4-.7-1-.6-1.600l.2-1a9 9 0 0 0-5.400 0l.2 1c.1.6-.1 1.200-.6 1.600l-1.700 1.200c-.7.5-1.600.4-2.200-.2Z",
  call: "M8.200 4.500 6 5c-1.200.3-2 1.400-1.800 2.600 1 6.200 6 11.200 12.200 12.200 1.200.2 2.300-.6 2.600-1.800l.5-2.200c.2-.8-.2-1.600-1-1.900l-2.300-1c-.7-.3-1.400-.1-1.900.5l-.6.8a10 10 0 0 1-3.900-3.900l.8-.6c.6-.5.8-1.200.5-1.900l-1-2.300c-.3-.8-1.100-1.200-1.900-1Z",
  send: "M4.500 12 20 4.500 15 20l-3.500-6.500Z",
  chat: "M5 5.500h14a1.500 1.500 0 0 1 1.500 1.500v8a1.500 1.500 0 0 1-1.500 1.500h-7L7.500 20v-3.500H5A1.500 1.500 0 0 1 3.500 15V7A1.500 1.500 0 0 1 5 5.500Z",
  plus: "M12 5v14M5 12h14",
  trash: "M5 7h14M10 7V5h4v2M7 7l.8 12h8.400L17 7M10.500 10.500v5M13.500 10.500v5",
  close: "M6 6l12 12M18 6 6 18",
  sound: "M5 9.500v5h3l4 3.500V6L8 9.500ZM15.500 9a4 4 0 0 1 0 6M18 6.500a7.500 7.500 0 0 1 0 11",
  warning: "M12 4 2.800 19.500h18.400ZM12 10v4.500M12 16.800v.2",
  back: "M14.500 5.500 8 12l6.500 6.500",
  upload:
    "M12 15.500V4.500M7.500 9 12 4.500 16.500 9M5 15.500v3A1.500 1.500 0 0 0 6.500 20h11a1.500 1.500 0 0 0 1.500-1.500v-3",
} as const;

export type IconName = keyof typeof PATHS;

/** A line icon in the colour of its text; the label beside it or on its button names it. */
export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
