// Whether the library takes each delivery of a file, and refuses each that it should; to standard output, as JSON.
import { readFile } from "node:fs/promises";
import { Webhook } from "standardwebhooks";

const takes = ({ secret, body, headers }) => {
  try {
    new Webhook(secret).verify(body, headers);
    return true;
  } catch (error) {
    if (error.name !== "WebhookVerificationError" && error.constructor.name !== "WebhookVerificationError") throw error;
    return false;
  }
};

const deliveries = JSON.parse(await readFile(process.argv[2], "utf8"));
process.stdout.write(JSON.stringify(Object.fromEntries(deliveries.map((one) => [one.name, takes(one)]))));
