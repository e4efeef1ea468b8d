// @ts-check
/** Which token says who the page is, and where the next one comes from. */

/** @typedef {() => string | Promise<string>} GetToken gives an empty text if the page is no longer
 * allowed */

/** Why there is no token to go on with, in words. */
export class NoToken extends Error {}

export class Tokens {
  #getToken;
  #token = "";
  #refused = "";
  #why = "";
  /** @type {Promise<string> | undefined} */
  #asking;

  /** @param {GetToken} [getToken] without it no token is needed */
  constructor(getToken) {
    this.#getToken = getToken;
  }

  get areNeeded() {
    return this.#getToken !== undefined;
  }

  /** The server will not take a token again. @param {string} token @param {string} why */
  refuse(token, why) {
    this.#refused = token;
    this.#why = why;
  }

  /** A token that was not refused. Throws NoToken, and what `getToken` throws.
   * @returns {Promise<string>} */
  async current() {
    if (!this.#token || this.#token === this.#refused) await this.renew();
    if (this.#token === this.#refused) throw new NoToken(this.#why);
    return this.#token;
  }

  /** The next token, asked for once at a time. Throws NoToken, and what `getToken` throws.
   * @returns {Promise<string>} */
  renew() {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask() {
    this.#token = (await this.#getToken?.()) ?? "";
    if (!this.#token) throw new NoToken("no longer allowed: there is no token");
    return this.#token;
  }
}
