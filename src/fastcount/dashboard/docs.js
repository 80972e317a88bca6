"use strict";
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null, // would ask a server on the internet
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
});
