import { applyTheme } from "@pellucid/toolkit";
import "@pellucid/toolkit/toolkit.css";
import "@pellucid/toolkit/message.css";
import "@pellucid/toolkit/workplace.css";
import { render } from "preact";

import { App } from "./app.tsx";
import "./work.css";
import "./cells.css";
import "./dialogs.css";
import "./narrow.css";

applyTheme();
render(<App />, document.getElementById("page")!);
