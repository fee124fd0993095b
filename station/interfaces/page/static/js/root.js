// Where this station is served: such as /stations/BORNE-1, or nothing for the only station of its process.

export const root = document.documentElement.dataset.root;
