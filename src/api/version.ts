/** Of this program: what clients of the CDI object are told. As in package.json. */
export const version = '0.1.0';
