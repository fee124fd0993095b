// The URL path of this station, such as /stations/BORNE-1; empty for the only station of its process.

export const root = document.documentElement.dataset.root;
