// The page of ../browser in Chromium: `node interop/board.mjs SERVERS.json URL` says what it shows, once it shows cars or trouble.

import { readFileSync } from "node:fs";
import { inPage } from "./webdriver.mjs";

const [path, url] = process.argv.slice(2);

/** Runs in the page. */
function shown() {
  const [quote, cars, trouble] = ["quote", "cars", "trouble"].map((id) => document.getElementById(id));
  return new Promise((resolve) => {
    const look = () => {
      if (Number(cars.textContent) > 0) resolve(`${quote.textContent}, ${cars.textContent} cars`);
      else if (trouble.textContent) resolve(trouble.textContent);
      else setTimeout(look, 100);
    };
    look();
  });
}

console.log(await inPage(JSON.parse(readFileSync(path)), url, `return (${shown})()`, []));
