import { applyTheme } from "@pellucid/toolkit";
import "@pellucid/toolkit/toolkit.css";
import { render } from "preact";

import { App } from "./app.tsx";
import "./enter.css";
import "./work.css";
import "./cells.css";
import "./dialogs.css";
import "./narrow.css";

applyTheme();
render(<App />, document.getElementById("page")!);
