import { applyTheme } from "@pellucid/toolkit";
import "@pellucid/toolkit/toolkit.css";
import { render } from "preact";

import { App } from "./app.tsx";
import "./review.css";

applyTheme();
render(<App />, document.getElementById("page")!);
