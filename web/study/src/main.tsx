import { addressParameter, ApiClient, applyTheme, store } from "@pellucid/toolkit";
import "@pellucid/toolkit/toolkit.css";
import "@pellucid/toolkit/message.css";
import "@pellucid/toolkit/workplace.css";
import { render } from "preact";

import { App } from "./app.tsx";
import { RATER } from "./enter.tsx";
import "./study.css";

applyTheme();
// before the client, which takes the address's secrets away
const rater = addressParameter("rater");
if (rater !== null) store(RATER, rater);
render(<App api={new ApiClient()} />, document.getElementById("page")!);
