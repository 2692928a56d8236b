// The page of ../browser in Chromium: `node interop/board.mjs SERVERS.json URL` prints its text when it shows cars or an error.

import { readFileSync } from "node:fs";
import { inPage } from "./webdriver.mjs";

const [path, url] = process.argv.slice(2);

/** Returns the text of the page. Runs in the page. */
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
