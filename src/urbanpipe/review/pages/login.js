import { api, begin, find } from "/static/common.js";

await begin();
find("#login").addEventListener("submit", async (event) => {
  event.preventDefault();
  find("#wrong").textContent = "";
  const answer = await api("POST", "/api/login", { name: find("#name").value, password: find("#password").value });
  if (answer.ok) location.replace("/");
  else find("#wrong").textContent = answer.detail;
});
